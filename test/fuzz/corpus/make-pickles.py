"""Writes the hostile model files of `pytorch/`, with CPython's own pickle and zipfile. Nothing is loaded here.

    python3 test/fuzz/corpus/make-pickles.py

The first word of a name says what `readPyTorch` must answer: `unsafe` MODEL_UNSAFE, `corrupt` MODEL_CORRUPT. The
payloads would touch the file that HARM names if any reader ever ran them.
"""

import builtins
import copyreg
import functools
import io
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import types
import zipfile

FOLDER = pathlib.Path(__file__).parent / "pytorch"
HARM = "/tmp/imagemill-fuzz-harm"
TIME = (2026, 1, 1, 0, 0, 0)
STOP = b"."


class Reduce:
    """Pickles as a call of any function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class Instance:
    pass


class Slots:
    __slots__ = ("a",)


def dumps(value, protocol=2):
    return pickle.dumps(value, protocol=protocol)


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


def text(value):
    encoded = value.encode()
    return b"X" + u32(len(encoded)) + encoded


def number(value):
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def glob(module, name):
    return f"c{module}\n{name}\n".encode()


def tup(*items):
    return b"(" + b"".join(items) + b"t"


def storage(kind="FloatStorage", key="0", length=4):
    return tup(text("storage"), glob("torch", kind), text(key), text("cpu"), number(length)) + b"Q"


def tensor(shape=(4,), stride=(1,), offset=0, of=None):
    sizes = tup(*map(number, shape))
    strides = tup(*map(number, stride))
    args = tup(of or storage(), number(offset), sizes, strides, b"\x89", b"N")
    return glob("torch._utils", "_rebuild_tensor_v2") + args + b"R"


def state(*values):
    items = b"".join(text(f"w{i}") + value for i, value in enumerate(values))
    return b"\x80\x02}(" + items + b"u."


def archive(pickled, members=(("archive/data/0", bytes(16)),), name="archive/data.pkl", method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for member, content in ((name, pickled), *members):
            info = zipfile.ZipInfo(member, TIME)
            info.compress_type = method
            file.writestr(info, content)
    return buffer.getvalue()


def legacy(pickled):
    magic = dumps(0x1950A86A20F9469CFC6C)
    return magic + dumps(1001) + dumps({}) + pickled + dumps([])


def raw(*parts):
    """A pickle of these opcodes, in a dict where tensors would be."""
    return b"\x80\x02" + b"".join(parts) + STOP


def calls():
    command = f"touch {HARM}"
    code = f"open({HARM!r}, 'w')"
    yield "os-system", Reduce(os.system, command)
    yield "builtins-eval", Reduce(builtins.eval, code)
    yield "builtins-exec", Reduce(builtins.exec, code)
    yield "builtins-import", Reduce(builtins.__import__, "os")
    yield "builtins-open", Reduce(builtins.open, HARM, "w")
    yield "builtins-getattr", Reduce(builtins.getattr, "text", "format")
    yield "subprocess-popen", Reduce(subprocess.Popen, ["touch", HARM])
    yield "functools-partial", Reduce(functools.partial, os.system, command)
    yield "types-function", Reduce(types.SimpleNamespace)
    yield "nested-in-tensors", {"w": [({"x": Reduce(os.system, command)},)]}
    yield "instance", Instance()
    yield "copyreg-reconstructor", Reduce(copyreg._reconstructor, Instance, object, None)
    yield "range", range(3)


def unsafe():
    for name, value in calls():
        for protocol in (2, 4):
            yield f"{name}-{protocol}", dumps(value, protocol)
    yield "slots-2", dumps(Slots())
    yield "bytes-by-codecs-2", dumps(b"in protocol 2, bytes are a call of _codecs.encode")
    yield "set-2", dumps({1, 2})
    system = text("touch " + HARM)
    yield "stack-global", raw(text("os"), text("system"), b"\x93", tup(system), b"R")
    yield "stack-global-from-memo", raw(text("os"), b"\x94", text("system"), b"\x94", b"h\x00h\x01\x93", tup(system), b"R")
    yield "dotted-name", raw(text("torch"), text("_utils._rebuild_tensor_v2"), b"\x93")
    yield "dotted-module", raw(glob("torch.serialization", "os.system"))
    yield "allowed-name-elsewhere", raw(glob("os", "OrderedDict"))
    yield "name-with-space", raw(glob("collections ", "OrderedDict"))
    yield "name-of-object-prototype", raw(glob("constructor", "constructor"))
    yield "inst", raw(b"(", system, b"ios\nsystem\n")
    yield "obj", raw(b"(", glob("collections", "OrderedDict"), system, b"o")
    yield "newobj-ex", raw(glob("collections", "OrderedDict"), b")}\x92")
    yield "ext1", raw(b"\x82\x01")
    yield "ext2", raw(b"\x83\x01\x01")
    yield "ext4", raw(b"\x84\x01\x00\x00\x01")
    yield "call-of-a-string", raw(system, tup(), b"R")
    yield "call-of-a-tensor", raw(tensor(), tup(), b"R")
    yield "call-of-a-storage-type", raw(glob("torch", "FloatStorage"), tup(), b"R")
    yield "persistent-id-with-a-call", raw(tup(text("storage"), glob("os", "system"), text("0"), text("cpu"), number(4)), b"Q")
    yield "state-setter", raw(glob("collections", "OrderedDict"), b")R", glob("builtins", "exec"), b"b")


def corrupt_pickles():
    for name, identity in {
        "none": b"N",
        "number": number(7),
        "path": text("../../etc/passwd"),
        "empty-tuple": b")",
        "wrong-tag": tup(text("module"), glob("torch", "FloatStorage"), text("0"), text("cpu"), number(4)),
        "key-that-is-a-tuple": tup(text("storage"), glob("torch", "FloatStorage"), b")", text("cpu"), number(4)),
        "length-2-60": tup(text("storage"), glob("torch", "FloatStorage"), text("0"), text("cpu"), number(2**60)),
    }.items():
        yield f"persistent-id-{name}", raw(identity, b"Q")
    yield "persistent-id-in-text", raw(b"P../../etc/passwd\n")
    yield "binbytes8-2-60", raw(b"\x8e", u64(2**60))
    yield "binunicode8-2-63", raw(b"\x8d", u64(2**63))
    yield "bytearray8-2-60", raw(b"\x96", u64(2**60))
    yield "long4-2-31", raw(b"\x8b", u32(2**31))
    yield "frame-2-62", raw(b"\x95", u64(2**62))
    yield "memo-index-of-nothing", raw(b"j", u32(2**32 - 1))
    yield "marks-without-end", raw(b"(" * 5_000)
    yield "stack-without-end", raw(b"N" * 100_001)
    yield "tuples-nested", raw(b"N", b"\x85" * 40_000)
    yield "lists-nested", raw(b"]" * 30_001, b"a" * 30_000)
    yield "laughs-of-tuples", raw(b"N", b"q\x00h\x00\x86" * 10_000)
    yield "laughs-of-dup", raw(b"N2\x86")
    yield "list-in-itself", raw(b"]q\x00h\x00a")
    yield "dict-in-itself", raw(b"}q\x00X\x01\x00\x00\x00ah\x00s")
    yield "dict-that-is-its-own-state-dict", raw(b"}q\x00", text("state_dict"), b"h\x00s")
    device = glob("torch", "device") + b"(h\x00h\x00tRq\x00"
    yield "laughs-of-devices", raw(text("x" * 1_000), b"q\x00", device * 40)
    long = b"(" + b"K\x01" * 30_000 + b"tq\x00"
    lazy = glob("torch._utils", "_rebuild_tensor_v2") + b"q\x01" + storage() + b"q\x02"
    yield "one-long-shape-of-many-tensors", raw(long, lazy, b"(" + b"h\x01(h\x02K\x00h\x00h\x00\x89NtR" * 5_000 + b"l")
    pairs = b"](" + b"NN\x86" * 10_000 + b"eq\x00"
    ordered = glob("collections", "OrderedDict") + b"q\x01"
    yield "one-list-of-many-dicts", raw(pairs, ordered, b"(" + b"h\x01h\x00\x85R" * 5_000 + b"t")


def corrupt_tensors():
    yield "negative-stride", state(tensor(offset=3, stride=(-1,)))
    yield "negative-offset", state(tensor(offset=-1))
    yield "offset-past-the-end", state(tensor(offset=1))
    yield "stride-past-the-end", state(tensor(shape=(2, 2), stride=(2**40, 1)))
    yield "shape-2-62", state(tensor(shape=(2**31, 2**31), stride=(0, 0)))
    yield "expanded-without-end", state(tensor(shape=(2**40,), stride=(0,)))
    yield "overlaps-many-times", state(*(tensor(shape=(2**21,), stride=(0,)) for _ in range(8)))
    yield "storage-too-long", state(tensor(of=storage(length=5), shape=(5,)))
    yield "storage-too-short", state(tensor(of=storage(length=3), shape=(3,)))
    yield "storage-of-two-types", state(tensor(), tensor(of=storage("DoubleStorage", length=2), shape=(2,)))
    yield "storage-outside-the-archive", state(tensor(of=storage(key="../../../etc/passwd")))
    yield "storage-with-an-absolute-key", state(tensor(of=storage(key="/etc/passwd")))


def corrupt_zips():
    good = state(tensor())
    yield "member-twice", archive(good, (("archive/data/0", bytes(16)), ("archive/data/0", b"y" * 16)))
    yield "deflated", archive(good, method=zipfile.ZIP_DEFLATED)
    yield "deflated-bomb", archive(good, (("archive/data/0", bytes(2**24)),), method=zipfile.ZIP_DEFLATED)
    yield "pickle-above-the-archive", archive(good, name="../../data.pkl")
    yield "pickle-at-the-root", archive(good, name="/data.pkl")
    yield "storage-above-the-archive", archive(good, (("../archive/data/0", bytes(16)),))
    yield "storage-with-backslashes", archive(good, (("archive\\data\\0", bytes(16)),))
    whole = archive(good)
    yield "wrong-checksum", whole.replace(good, good[:-3] + b"\x00" + good[-2:])
    at = whole.index(b"PK\x01\x02")
    for name, field in {"sizes-4-gib": 20, "header-at-4-gib": 42}.items():
        changed = bytearray(whole)
        changed[at + field : at + field + 4] = u32(2**32 - 2)
        yield name, bytes(changed)
    ending = whole.index(b"PK\x05\x06")
    yield "members-65534", whole[: ending + 8] + b"\xfe\xff\xfe\xff" + whole[ending + 12 :]
    yield "directory-at-4-gib", whole[: ending + 16] + u32(2**32 - 2) + whole[ending + 20 :]


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.pth"):
        old.unlink()
    files = {}
    for name, pickled in unsafe():
        files[f"unsafe-{name}"] = archive(pickled)
        if name.endswith("-2"):
            files[f"unsafe-legacy-{name}"] = legacy(pickled)
    for name, pickled in (*corrupt_pickles(), *corrupt_tensors()):
        files[f"corrupt-{name}"] = archive(pickled)
    for name, content in corrupt_zips():
        files[f"corrupt-zip-{name}"] = content
    for name, content in files.items():
        (FOLDER / f"{name}.pth").write_bytes(content)
    print(len(files), "files,", sum(map(len, files.values())), "bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
