"""How to read the figures: what was the same for all contestants, and what was not."""

from collections.abc import Mapping, Sequence

NOTES: Mapping[str, Sequence[str]] = {
    "eventlog": (
        "A ratio is the median divided by the peer's median of the same measure in this run.",
        "Events are signed CloudEvents of about 620 bytes in 12 partitions of one broker that"
        " shares the cores. Rates run from the first event to the last; connecting is not counted.",
        "produce: idempotent, lz4 and every delivery heard of, for midstage and the bare client;"
        " Faust acknowledged by all, uncompressed (its client has no lz4 here), 5,000 in flight.",
        "consume: uncompressed for all. Bare: two fields decoded, added to a dictionary. midstage:"
        " all fields decoded and checked, in the consumer loop. Faust: a worker in a process of its"
        " own, concurrency 1, the bare client's decoding, one table increment in memory an event.",
        "'each number once' also asks the ranges of stats, so an event seen twice counts once.",
    ),
    "versions": (
        "versions: one command after the other, each answered after its record was read back and"
        " folded; the bare client appends as many bytes and reads them back, and decides nothing.",
    ),
    "gateway": (
        "gateway: loopback, keep-alive, a POST of 84 bytes to one replica that answers at once;"
        " Envoy with two workers, callers, replica and throttle share the cores. Only 200s count.",
        "'midstage' is the gateway's own configuration: API keys, usage reader, request log. Where"
        " throttle decided less than 100 %, Envoy let the rest pass by the limit's failure rule.",
    ),
    "checks": (
        "checks: closed loops on loopback. h2load asks with a prepared body on one connection, by"
        " so many streams, redis-benchmark over so many connections; libraries are asked in"
        " their own process, one stream as a thread, more as tasks of one event loop. Processor: of"
        " the server or library and its Redis, never of a load generator. Waited for the log: of"
        " all checks of a round, those that did not find room in time.",
        "What each does: midstage decides three native limits, in memory, and tells their headers;"
        " with imported rules the very question and rules of envoyproxy/ratelimit, which decides"
        " three descriptors, each of which meets a limit, in its Redis, with"
        " its default settings and no headers; limits and throttled-py three fixed windows, one"
        " after the other; Redis INCR counts one key; grpc.aio parses the question and answers"
        " a constant. No limit is ever reached. Redis writes nothing to the disk.",
    ),
    "checks-envoy": (
        "checks-envoy: one caller, Envoy with the gateway's own configuration; added is the median"
        " beside that of the same configuration without its rate-limit filters, measured just"
        " before. envoyproxy/ratelimit counts one descriptor of what the gateway asks.",
    ),
    "checks-strict": (
        "checks-strict: three limits, all strict, of one customer, so that each check waits for one"
        " record of each; h2load on one connection, closed loops. By the failure rule: what passed"
        " because the log took more than 30 ms. The record beside it is written and read back by a"
        " process that does nothing else.",
    ),
    "checks-many": (
        "checks-many: customers × limits that each of them meets, of so many limits; those that"
        " nobody meets are for customers who never ask. The gate alone in a process for each size,"
        " without port and log. Customers ask in a random order, after each of them has asked once."
        " Counters are token buckets that are not full again within the run, so none may be"
        " forgotten. Memory is what the process grew by. With room, and at rest: rooms and the fold"
        " of the log as well; customers ask twice, in turn, by a clock of the bench's own; a check"
        " is all that the process does meanwhile, its claims, their folding and the sweeps."
        " --quick has a twentieth of customers and checks.",
    ),
    "checks-back": (
        "checks-back: a claim of each counter stands in midstage.spends.v1, all of the epoch of a"
        " throttle that is gone; from the first connection until all are folded and every partition"
        " is taken. The peer only counts the bytes. --quick has a twentieth of the counters.",
    ),
    "limit-changes": (
        "limit-changes: throttle's own process and Kafka; from the answer to PUT /v1/limits/NAME"
        " until POST /v1/checks/foreseen tells the new amount, asked in a closed loop, so that one"
        " question is in each figure. --quick makes 20 changes.",
    ),
    "stats": (
        "stats: all that the service does with a request event: every field decoded, the edge's"
        " signature verified, ranges asked, rows, roll-ups of 1,000 customers on 8 applications and"
        " positions in one DuckDB transaction per chunk, load and usage facts told meanwhile. The"
        " peers add up units in a dictionary or a table of theirs; the polars pipeline writes rows"
        " and one roll-up into a DuckDB file, without signatures, ranges or positions. Memory is"
        " the most that the process of stats held, where nothing but stats is installed.",
    ),
    "stats-live": (
        "stats-live: the same events, signed beforehand and sent at a steady rate by a process that"
        " shares the cores with broker and stats, which tells load and usage facts meanwhile."
        " Freshness is from an event's time in Kafka, when its producer took it, to its commit;"
        " what was sent is by those times too. --rate 60000 is the goal, p99 within 2 s.",
    ),
    "seen": (
        "seen: chunks of 10,000 hashes of 128 bits, asked for and taken in; midstage and SQLite"
        " keep them durably (a transaction a chunk), the set is memory alone and forgets. SQLite"
        " has a tenth of the ids, which favours it. restart: until the first answer, without the"
        " ledger's own reading of what lies above the files' mark.",
    ),
    "restart": (
        "restart: stats as it is composed, on a copy of a ledger that ended as by kill -9: from its"
        " start, imports done, to the commit of a hundred more events. The peer opens the file.",
    ),
    "usage": (
        "usage: counted from Kafka, without facts, by what stats composes for counting; from the"
        " question to the JSON of the answer, in one process; the peer is one bare statement on the"
        " same rows that gives counts alone. 30 days, a page and a month's lines are read from sums"
        " of days, which grow with customers and applications, not with events. The part of a"
        " statement is all that a shard does to seal. --month 100000000 makes it larger.",
    ),
    "leased": (
        "leased: in one process and thread, one customer with limits that are never reached; the"
        " rate is by processor time, the p99 by the clock. Ours holds all three limits in one step;"
        " peers are asked once for each and don't give back what the first took where the second"
        " refuses. Their windows and buckets count for this process alone.",
    ),
    "control": (
        "control: one change after the other in a cluster in memory, until a consumer has read what"
        " came of it; the peer watches the same cluster and sends each change's bytes on.",
    ),
    "inventory": (
        "inventory: over loopback, one question after the other, each page from where the last one"
        " ended; a search looks at every pod's name, labels and reasons, and finds none.",
    ),
    "kubernetes": (
        "kubernetes: a real API server that shares the cores; each start is a new process that"
        " lists nodes, pods, deployments and endpoint slices in pages of 500. Its imports do not"
        " count; its memory is all of the process, imports included.",
        "pod change to its fact: from the API server's answer to a change until a consumer has read"
        " what came of it, at 200 changes/s on 50 pods; the peer sends each event's bytes on.",
        "command to pod bound, undo to first new pod, upgrade: on the whole platform, from deploy's"
        " answer (bound) or the question (the others). Replicas start within 0.1 s.",
    ),
    "hpa": (
        "hpa: evaluations a second on one core; the peer is the bare formulae on dictionaries,"
        " without reasons, stages, stabilising or bytes.",
    ),
    "replay": (
        "replay: on one core, in seconds of the processor; the peer decodes and writes the same"
        " records and decides nothing. The goal is 20,000/s over all processes. Of each kind: rules"
        " by totals, resources, latency, KPA, a queue, metrics of a manifest, timed and forecast.",
    ),
    "replay-log": (
        "replay-log: evaluations of applications that live through days under a policy of each"
        " kind, read from one broker that shares the cores; reading is counted for all, the broker"
        " for none. More processes are handed the records by the one that reads, which judges the"
        " first four chunks itself. `--quick --evaluations 1000000` is one round of a million.",
    ),
    "hpa-series": (
        "hpa-series: the settings of the comparison: steps of 15 s, the mean of 60 s seen"
        " 30 s late, 100 replicas serve the 99.9th percentile. A policy is tuned on the first half"
        " of each series, the second is counted. HPA v2 at 50 to 80 % and windows of 300 and"
        " 1,800 s is interpolated at the policy's own cost; a ratio is only where it violates more"
        " than 0.1 % of the time, of cost only where one of its settings violates no more. Bounds:"
        " for each cold start at most half on three quarters of those series, never above 1.1; 15"
        " reversals a day.",
    ),
    "hpa-latency": (
        "hpa-latency: simulated time, the same each run; bounds of overshoot: 1.3, 1.6, 2.5, 5.3"
        " at cold starts of 15, 60, 180, 600 s.",
    ),
    "hpa-many": (
        "hpa-many: processor time of one thread, records decoded and written; bounds: 10,000"
        " applications within 15 s and 600 MiB, in proportion from 100 to 20,000.",
    ),
    "hpa-decisions": (
        "hpa-decisions: all facts of a second are written at once, each changes its count, and"
        " those of a turn are appended one by one and waited for together; bound: p99 within"
        " 1,000 ms.",
    ),
    "deploy": (
        "deploy: its own thinking in its tests' fake world, in seconds of the processor; bounds:"
        " a plan of 50 within 1 s, 50 upgrades within 60 s, no update stuck.",
    ),
    "loop": (
        "loop: one replay of the default trace on the whole platform at speed 4; load, callers and"
        " replicas share the cores with everything. Cold starts are the replicas' own.",
    ),
}
