import csv, math, sys, numpy as np
from datetime import datetime
D='/work/shared/data/'
def series(name):
    rows=list(csv.reader(open(D+name)))[1:]
    def t(x):
        try: return float(x)
        except ValueError: return datetime.fromisoformat(x).timestamp()
    ts=np.array([t(r[0]) for r in rows]); v=np.array([float(r[1]) for r in rows])
    o=np.argsort(ts,kind='stable'); ts,v=ts[o],v[o]
    steps=np.arange(ts[0],ts[-1]+1e-9,15)
    i=np.searchsorted(ts,steps,side='right')-1
    return v[i]
def run(load, cold, policy):
    cap=np.quantile(load,.999)/100
    n=len(load); 
    cs=cold//15
    ready=max(1,math.ceil(load[0]/(cap*.7))); starting=[]  # list of [ready_step,count]
    warm=3*86400//15
    viol=0;lost=0;tot=0;cost=0;ideal=0;steps=0
    last=0;lastat=-1e9;rev=0
    cum=np.concatenate([[0],np.cumsum(load)])
    L=load.tolist()
    for k in range(n):
        while starting and starting[0][0]<=k: ready+=starting.pop(0)[1]
        # sees mean of last 60s, 30s late: steps k-2-4..k-2
        e=k-2; b=e-4
        if b>=0:
            m=(cum[e]-cum[b])/4
            st=sum(c for _,c in starting)
            want=policy(k,m/cap,ready,st)
            cur=ready+st
            if want>cur:
                starting.append([k+cs,want-cur])
                if k>=warm:
                    if last==-1 and (k-lastat)*15<=1800: rev+=1
                last=1;lastat=k
            elif want<cur:
                d=cur-want
                while d and starting:
                    x=min(d,starting[-1][1]); starting[-1][1]-=x; d-=x
                    if not starting[-1][1]: starting.pop()
                ready-=d
                if k>=warm:
                    if last==1 and (k-lastat)*15<=1800: rev+=1
                last=-1;lastat=k
        if k>=warm:
            x=L[k]/cap; steps+=1
            if x>ready: viol+=1; lost+=x-ready
            tot+=x
            cost+=ready+sum(c for _,c in starting); ideal+=max(1,math.ceil(x/.7)) 
    return 100*viol/steps,100*lost/tot,cost/ideal,rev/(steps*15/86400)
from collections import deque
class HPA:
    def __init__(s,target=.7,window=300,tol=.1,count='ready'):
        s.t=target;s.w=window//15;s.tol=tol;s.q=deque();s.count=count
        s.ev=deque()
    def __call__(s,k,x,ready,st):
        cur=ready+st
        r=x/(ready*s.t) if ready else 1
        if s.count=='ready':
            # HPA: unready treated as 0 on scale-up
            if st and r>1:
                r2=x/((ready+st)*s.t)
                want=cur if (abs(1-r2)<=s.tol or r2<1) else math.ceil(r2*(ready+st))
                if want<cur and r2>1: want=cur
            else: want=cur if abs(1-r)<=s.tol else math.ceil(r*ready)
        else:
            r=x/(cur*s.t)
            want=cur if abs(1-r)<=s.tol else math.ceil(x/s.t)
        want=max(1,want)
        q=s.q
        while q and q[-1][1]<=want: q.pop()
        q.append((k,want))
        while q[0][0]<=k-s.w: q.popleft()
        out=q[0][1]
        if out<cur and want>=cur: out=cur
        if want<cur: out=min(cur,max(want,out))
        else: out=want
        # rate: max(+4, double) per 15 s
        out=min(out,max(2*cur,cur+4)) if out>cur else out
        return out
if __name__=='__main__':
    for nm in ['crane/input0.csv','crane/input2.csv','crane/input14.csv','crane/input15.csv','elb_requests.csv','worldcup98.csv']:
        L=series(nm)
        for c in ('ready','cur'):
            print(nm,c,['%.3f'%z for z in run(L,180,HPA(count=c))],flush=True)
