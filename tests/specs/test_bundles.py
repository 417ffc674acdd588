"""Bundles that are read, and everything that is refused before any of it is used."""

import gzip
import os
import random
import tarfile
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.errors import RefusedError
from midstage.specs import bundle as bundles
from midstage.specs.applications import applications
from midstage.specs.bundle import MOST_ENTRIES, bundle

from .archives import CHAT, FILES, OCR, entry, pax, tar, tar_of, tgz, zip_of, zipped

MIB = 1024 * 1024
APP = b"name: a\ncommand: [x]\n"
FORMS = {
    "pax": tgz(FILES),
    "gnu": tgz(FILES, tarfile.GNU_FORMAT),
    "ustar": tgz(FILES, tarfile.USTAR_FORMAT),
    "from .": tgz({f"./{name}": content for name, content in FILES.items()}),
    "folders": tar_of(
        entry(b"./", kind=b"5"), entry(b"apps/", kind=b"5"),
        *(entry(name.encode(), content) for name, content in FILES.items()),
    ),
    "git archive": tar_of(
        entry(b"pax_global_header", pax(comment="0" * 40), b"g"),
        *(entry(name.encode(), content) for name, content in FILES.items()),
    ),
    "deflated": zipped(FILES),
    "stored": zipped(FILES, zipfile.ZIP_STORED),
    "by hand": zip_of(*((name.encode(), content) for name, content in FILES.items())),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_common_packing_is_read_alike(form: str) -> None:
    held = bundle(FORMS[form])
    assert held.specs() == ["apps/chat.yaml", "apps/ocr.yml"]
    chat, ocr = applications(held)
    assert (chat.name, ocr.name) == ("chat", "ocr")
    assert chat.spec["checks"] == [{"name": "warm", "script": "test -e /models/chat\n"}]


def test_long_names_come_through() -> None:
    name = f"{'f' * 90}/{'g' * 90}/a.yaml"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert bundle(tgz({name: APP}, form)).specs() == [name]


def test_what_is_no_spec_is_left_alone() -> None:
    files = {
        "a.yaml": APP,
        "b.bin": b"\xff\0",
        ".hidden.yaml": b"[",
        "._a.yaml": b"\0",
        "R.md": b"#",
    }
    assert bundle(zipped(files)).specs() == ["a.yaml"]


def test_one_wrong_file_does_not_hide_another() -> None:
    with pytest.raises(RefusedError) as refused:
        applications(bundle(tgz({"a.yaml": b"name: [", "b.yaml": b"x: 1", "c.yaml": APP})))
    assert "a.yaml: " in str(refused.value)
    assert "b.yaml: name: is missing" in str(refused.value)


NAMES = {
    "../a.yaml": "leads outside",
    "a/../../b.yaml": "leads outside",
    "/etc/a.yaml": "is absolute",
    "C:/a.yaml": "is absolute",
    "c:a.yaml": "is absolute",
    "..\\a.yaml": "has a backslash",
    "a//b.yaml": "has an empty part",
    "a\nb.yaml": "can't be printed",
    "a\u202eb.yaml": "can't be printed",
    "a./b.yaml": "some systems would cut",
    "a /b.yaml": "some systems would cut",
    "/".join("abcdefghijklmnopqrs") + "/a.yaml": "more than 16 folders",
    f"{'é' * 300}.yaml": "longer than 512 bytes",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    files = {name: APP}
    for packed in (tgz(files), tgz(files, tarfile.GNU_FORMAT), zipped_as(name)):
        with pytest.raises(RefusedError, match=NAMES[name]):
            bundle(packed)


def zipped_as(name: str) -> bytes:
    """Python's zipfile mends some names, so by hand."""
    return zip_of((name.encode(), APP), flags=0x800)


SAME = [
    ("a.yaml", "a.yaml"),
    ("a.yaml", "A.YAML"),
    ("straße.yaml", "strasse.yaml"),
    ("é.yaml", "e\u0301.yaml"),
    ("ﬁ.yaml", "fi.yaml"),
    ("a", "a/b.yaml"),
    ("A", "a/b.yaml"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_names_that_could_be_one_file_are_refused(one: str, other: str) -> None:
    pairs = [(one.encode(), APP), (other.encode(), APP)]
    for packed in (tar_of(*(entry(*pair) for pair in pairs)), zip_of(*pairs, flags=0x800)):
        with pytest.raises(RefusedError, match=r"could be one file|is a file and the folder"):
            bundle(packed)


NOISE = random.Random(1).randbytes(MIB)
HOSTILE = {
    "symbolic link": (tar_of(entry(b"a.yaml", kind=b"2", link=b"/etc/passwd")), "symbolic link"),
    "hard link": (tar_of(entry(b"a.yaml", kind=b"1", link=b"b.yaml")), "hard link"),
    "device": (tar_of(entry(b"a.yaml", kind=b"3")), "is a device"),
    "block device": (tar_of(entry(b"a.yaml", kind=b"4")), "is a device"),
    "fifo": (tar_of(entry(b"a.yaml", kind=b"6")), "is a FIFO"),
    "sparse": (tar_of(entry(b"a.yaml", APP, b"S")), "is a sparse file"),
    "contiguous": (tar_of(entry(b"a.yaml", APP, b"7")), "unknown kind"),
    "pax sparse": (
        tar_of(entry(b"x", pax(GNU__sparse__major="1"), b"x"), entry(b"a.yaml", APP)),
        "has the header 'GNU.sparse.major'",
    ),
    "pax size": (tar_of(entry(b"x", pax(size="9"), b"x"), entry(b"a.yaml", APP)), "header 'size'"),
    "pax link": (
        tar_of(entry(b"x", pax(linkpath="/etc"), b"x"), entry(b"a.yaml", APP)),
        "header 'linkpath'",
    ),
    "pax leads out": (
        tar_of(entry(b"x", pax(path="../b.yaml"), b"x"), entry(b"a.yaml", APP)),
        "leads outside",
    ),
    "pax names all": (
        tar_of(entry(b"x", pax(path="b.yaml"), b"g"), entry(b"a.yaml", APP)),
        "one name to all",
    ),
    "huge pax": (tar_of(entry(b"x", bytes(9000), b"x"), entry(b"a.yaml", APP)), "8192 bytes"),
    "pax on pax": (
        tar_of(*[entry(b"x", pax(path="b"), b"x")] * 2, entry(b"a.yaml", APP)),
        "name stands twice",
    ),
    "broken pax": (tar_of(entry(b"x", b"99 path=a", b"x"), entry(b"a.yaml", APP)), "is broken"),
    "pax of nothing": (tar_of(entry(b"x", pax(path="b"), b"x")), "belongs to no file"),
    "size beyond": (tar_of(entry(b"a.yaml", APP, size=b"77777777777\0")), "ends too early"),
    "size negative": (tar_of(entry(b"a.yaml", APP, size=b"-1\0")), "is no size"),
    "size in bytes": (tar_of(entry(b"a.yaml", APP, size=b"\x80" + b"\xff" * 11)), "is no size"),
    "folder with content": (tar_of(entry(b"a/", APP, b"5")), "has content"),
    "no name": (tar_of(entry(b"", APP)), "has no name"),
    "no UTF-8 name": (tar_of(entry(b"\xff.yaml", APP)), "is not UTF-8"),
    "no end": (gzip.compress(entry(b"a.yaml", APP)), "ends too early"),
    "second archive": (tar_of(entry(b"a.yaml", APP), bytes(1024), entry(b"b", b"")), "behind the"),
    "gzip of gzip": (gzip.compress(tgz(FILES)), "holds no tar archive"),
    "two gzips": (tgz(FILES) + tgz(FILES), "behind the end of the gzip"),
    "behind the gzip": (tgz(FILES) + b"x", "1 bytes stand behind"),
    "half a gzip": (tgz(FILES)[:100], "ends too early"),
    "no gzip": (b"\x1f\x8b" + b"x" * 99, "is broken"),
    "bomb": (gzip.compress(bytes(200 * MIB)), "larger than|times its size"),
    "long bomb": (gzip.compress(bytes(15 * MIB)), "200 times"),
    "large file": (tgz({"a.yaml": bytes(MIB + 1)}), "times|larger than 1048576"),
    "many": (tgz({f"{n}": b"" for n in range(MOST_ENTRIES + 1)}), "more than 1000 entries"),
    "many in a zip": (zipped({f"{n}": b"" for n in range(MOST_ENTRIES + 1)}), "1000 entries"),
    "large": (tgz({"a.yaml": NOISE}) + NOISE, "more than 1048576 bytes"),
    "nothing": (tgz({}), r"no \*.yaml"),
    "no spec": (zipped({"README": b""}), r"no \*.yaml"),
    "neither": (b"name: a", "this is neither"),
    "zip link": (zip_of((b"a.yaml", b"/etc"), attributes=0o120777), "is a link"),
    "zip device": (zip_of((b"a.yaml", b""), attributes=0o020666), "is a device"),
    "zip folder as file": (zip_of((b"a.yaml", APP), attributes=0o040755), "name of a file"),
    "zip file as folder": (zip_of((b"a/", APP), attributes=0o100644), "name of a folder"),
    "zip folder with content": (zip_of((b"a/", APP)), "has content"),
    "encrypted": (zip_of((b"a.yaml", APP), flags=1), "is encrypted"),
    "strongly encrypted": (zip_of((b"a.yaml", APP), flags=0x40), "is encrypted"),
    "bzip2": (zip_of((b"a.yaml", APP), method=12), "packed by method 12"),
    "smaller than it says": (zip_of((b"a.yaml", APP), said_size=9), "larger than 9 bytes"),
    "larger than it says": (zip_of((b"a.yaml", APP), said_size=99), "its size or check sum"),
    "says it is huge": (zip_of((b"a.yaml", APP), said_size=2**31), "larger than 1048576"),
    "says zip64": (zip_of((b"a.yaml", APP), said_size=2**32 - 1), "not taken"),
    "other name": (zip_of((b"a.yaml", APP), listed_name=b"b.yaml"), "disagree"),
    "overlap": (zip_of(*[(b"a.yaml", APP)] * 99, all_at_first=True), "overlaps"),
    "something in front": (zip_of((b"a.yaml", APP), front=b"PK\x03\x04"), "overlaps"),
    "cp437": (zip_of(("é.yaml".encode("cp437"), APP)), "is not UTF-8"),
    "latin name": (zip_of(("é.yaml".encode("latin-1"), APP), flags=0x800), "is not UTF-8"),
    "no directory": (zipped(FILES)[:-22], "directory is missing"),
    "half a zip": (zipped(FILES)[:60], "directory is missing"),
    "zip bomb": (zipped({"a.yaml": bytes(200 * MIB)}), "larger than"),
    "zip bombs": (zipped({f"{n}.yaml": bytes(MIB) for n in range(20)}), "larger than|times"),
    "YAML in all": (
        zipped({f"{n}.yaml": b"#" * 4096 + NOISE[:4096].hex().encode() for n in range(100)}),
        "specs of the bundle have more than",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("attack", HOSTILE)
def test_an_attack_is_refused_in_little_memory(attack: str) -> None:
    packed, told = HOSTILE[attack]
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError, match=told):
            bundle(packed)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 40 * MIB


CONTENTS = {
    "alias bomb": (b"a: &a [x]\nb: &b [*a, *a]\n", "anchors and aliases are not taken"),
    "merge": (b"name: a\n<<: {x: 1}\n", "could not|unknown|<<"),
    "long key": (b"? " + b"k" * 900_000 + b"\n: {a: 1, b: 2}\n", "is longer than 512 signs"),
    "deep": (b"[" * 200_000, "nests deeper than 32"),
    "deep mapping": (b"{a: " * 200_000, "nests deeper than 32"),
    "many values": (b"name: a\nx: [" + b"1," * 20_001 + b"]", "more than 20000 values"),
    "NUL": (b"name: a\n# \0\n", "NUL stands in line 2"),
    "not UTF-8": (b"name: a\xff\n", "byte 7 is 0xff"),
    "UTF-16": ("name: a".encode("utf-16"), "not UTF-8"),
    "tag": (b"name: !!python/object/apply:os.system [id]", "tags like"),
    "number": (b"name: a\nreplicas: " + b"9" * 5000, "no number that can be kept"),
    "infinite": (b"name: a\ndrain_s: .inf", "no number that can be kept"),
    "twice": (b"name: a\nimage: x\nimage: y\n", "stands twice (line 3"),
    "control": (b"name: \x07\n", "control characters"),
}


@pytest.mark.parametrize("attack", CONTENTS)
def test_an_attack_inside_of_a_spec_is_refused(attack: str) -> None:
    content, told = CONTENTS[attack]
    if attack == "merge":
        assert applications(bundle(zipped({"a.yaml": content})))[0].spec == {"<<": {"x": 1}}
        return  # deploy refuses it as an unknown field
    with pytest.raises(RefusedError) as refused:
        applications(bundle(zipped({"a.yaml": content})))
    assert told in str(refused.value)


JSONS = [b"[" * 100_000, b'{"a":1,"a":2}', b'{"a":1e999}', b'{"a":NaN}', b'{"a":"\\ud800"}', b"{"]
JSONS += [b'{"%s":1}' % (b"k" * 513)]
JSONS += [b'{"name":"a","x":' + b"9" * 30 + b"}", b'{"a":' * 50 + b"1" + b"}" * 50]


@pytest.mark.parametrize("content", JSONS, ids=range(len(JSONS)))
def test_json_is_held_to_the_same(content: bytes) -> None:
    with pytest.raises(RefusedError):
        applications(bundle(zipped({"a.json": content})))


def test_long_paths_take_no_memory() -> None:
    keys = [f"{'k' * 500}{level}" for level in range(25)]
    text = "".join(f"{' ' * level}{key}:\n" for level, key in enumerate(keys))
    text = f"name: a\n{text}{' ' * 25}[{'1,' * 19_000}]\n"
    tracemalloc.start()
    try:
        (app,) = applications(bundle(zipped({"a.yaml": text.encode()}, zipfile.ZIP_STORED)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20 * MIB
    assert app.name == "a"


SCRIPTS = {
    "/etc/passwd": "is not relative",
    "../../b.sh": "leads out of the folder",
    "..\\b.sh": "is not relative",
    "C:/b.sh": "is not relative",
    "nowhere.sh": "'apps/nowhere.sh' is not in the bundle",
    "bad.sh": "it is not UTF-8",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_stands_in_the_bundle(script: str) -> None:
    spec = f"name: a\nimage: x\nchecks:\n - name: c\n   script_file: '{script}'\n".encode()
    with pytest.raises(RefusedError) as refused:
        applications(bundle(tgz({"apps/a.yaml": spec, "apps/bad.sh": b"\xff", "b.sh": b"true"})))
    assert "apps/a.yaml: checks[0].script_file: " in str(refused.value)
    assert SCRIPTS[script] in str(refused.value)
    assert "(line 5)" in str(refused.value)


WHOLE = [*FORMS.values(), *(packed for packed, _ in HOSTILE.values() if len(packed) < 4096)]


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(st.sampled_from(WHOLE), st.data())
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(
    whole: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not damaged:
            return
    read_or_refused(bytes(damaged))


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([tar(FILES), *(entry(b"a.yaml", APP, kind) for kind in (b"0", b"x", b"L"))]),
    st.data(),
)
def test_a_damaged_tar_is_read_or_refused_and_nothing_else(
    whole: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        block = data.draw(st.integers(0, len(damaged) // 512 - 1)) * 512
        at = block + data.draw(st.sampled_from([0, 50, 124, 130, 156, 257, 345]))
        damaged[at : at + 2] = data.draw(st.binary(min_size=2, max_size=2))
        head = damaged[block : block + 512]
        total = sum(head) - sum(head[148:156]) + 8 * 32
        damaged[block + 148 : block + 156] = b"%06o\0 " % total
    read_or_refused(gzip.compress(bytes(damaged)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["a.yaml", "a.json"]))
def test_any_bytes_are_a_spec_or_refused(content: bytes, name: str) -> None:
    read_or_refused(zipped({name: content}))


@settings(max_examples=300, deadline=None)
@given(st.text("abn:-[]{}&*!|>'\"\n #,.0~?%@`\t\\ue", max_size=60))
def test_anything_like_yaml_is_a_spec_or_refused(content: str) -> None:
    read_or_refused(zipped({"a.yaml": content.encode()}))


def read_or_refused(packed: bytes) -> None:
    told = ""
    try:
        assert all(each.name for each in applications(bundle(packed)))
    except RefusedError as e:
        told = str(e)
    assert told.isprintable()


def test_no_module_writes() -> None:
    """A bundle is read in memory: nothing here could put a file anywhere."""
    folder = os.path.dirname(bundles.__file__)  # noqa: PTH120
    for module in ("bundle", "tarred", "zipped", "inflating", "applications", "documents", "paths"):
        with open(f"{folder}/{module}.py", encoding="utf-8") as source:  # noqa: PTH123
            text = source.read()
        assert not any(word in text for word in ("import os", "pathlib", "tempfile", "open("))


def test_the_digest_names_the_bytes() -> None:
    one, other = bundle(tgz({"a.yaml": OCR})), bundle(zipped({"a.yaml": OCR}))
    assert one.contents == other.contents
    assert one.digest != other.digest
    assert bundle(tgz({"a.yaml": CHAT})).digest != one.digest
