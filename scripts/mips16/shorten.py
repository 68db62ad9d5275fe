"""Shortens the MIPS16 functions of an assembly file that LLVM wrote: what its code generator leaves undone.

- A call's delay slot: the assembler fills it by itself, or puts a `nop` there. LLVM writes a second one.
- A constant that fits no `li` stands behind each of its uses, and is jumped over. Here it stands once, at the function's
  end.
- A call through a pointer tells the function its own address, for code that may lie anywhere. Ours lies where it lies.
- The address of something is made of two halves, in 12 bytes. Here it is a constant like others: 2 bytes, or 4 from afar.
"""

import re

FUNCTION = re.compile(r"\t\.set\tmips16\n.*?(?=^\t\.end\t)", re.DOTALL | re.MULTILINE)
CALL = re.compile(r"^(\tjal\t\S+)\n\tnop$", re.MULTILINE)
OWN_ADDRESS = re.compile(r"^\tmove\t\$25, \$\d+\n", re.MULTILINE)
CONSTANT = re.compile(r"^\tlw\t(\$\d+), 1f\n\tb\t2f\n\t\.align\t2\n1: \t\.word\t(\S+)\n2:$", re.MULTILINE)
ADDRESS = re.compile(
    r"^\tli\t(\$\d+), %hi\((\S+)\)\n\tsll\t(\$\d+), \1, 16\n\taddiu\t\3, %lo\(\2\)$", re.MULTILINE
)
# Instructions whose first operand is written, and read only if it stands there once more.
WRITES = {"addu", "lb", "lbu", "lh", "lhu", "li", "lw", "mfhi", "mflo", "move", "sll", "sllv", "sra", "srl", "subu"}
# What a call leaves as it likes, and is not given.
SCRATCH = {"$2", "$3"}


def shorten(assembly):
    """`assembly` with shorter MIPS16 functions."""
    number = 0

    def function(found):
        nonlocal number
        number += 1
        return shortened(found[0], number)

    return FUNCTION.sub(function, assembly)


def shortened(text, number):
    pool = {}

    def load(register, value):
        label = pool.setdefault(value, f"$pool{number}_{len(pool)}")
        return f"\tlw\t{register}, {label}"

    def address(found):
        half, symbol, register = found.groups()
        if half != register and not is_dead(half, text[found.end() : found.end() + 4000]):
            return found[0]
        return load(register, symbol)

    text = ADDRESS.sub(address, text)
    text = CONSTANT.sub(lambda found: load(*found.groups()), text)
    text = OWN_ADDRESS.sub("", CALL.sub(r"\1", text))
    words = "".join(f"{label}:\n\t.4byte\t{value}\n" for value, label in pool.items())
    return text + ("\t.align\t2\n" + words if pool else "")


def is_dead(register, rest):
    """Whether nobody reads `register` any more in the straight line of code that `rest` begins with."""
    for line in rest.splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, *operands = line.replace(",", " ").split()
        if name == "jal":
            return register in SCRATCH
        if line.endswith(":") or name.startswith(("b", "j", ".", "save", "restore")):
            return False
        if register in re.findall(r"\$\w+", line):
            is_written = name in WRITES or name == "addiu" and len(operands) == 3
            return is_written and re.findall(r"\$\w+", line).count(register) == 1 and operands[0] == register
    return False
