"""What shorten.py makes of pieces of code, and what it leaves as it is."""

import unittest

from shorten import shorten


def function(*lines):
    return "\t.set\tmips16\n" + "".join(f"{line}\n" for line in lines) + "\t.end\tf\n"


ADDRESS = ("\tli\t$2, %hi(sym)", "\tsll\t$4, $2, 16", "\taddiu\t$4, %lo(sym)")


class Shorten(unittest.TestCase):
    def same(self, *lines):
        self.assertEqual(shorten(function(*lines)), function(*lines))

    def test_the_assembler_fills_the_slot_of_a_call(self):
        self.assertEqual(shorten(function("\tjal\tg", "\tnop", "\tjrc\t$ra")), function("\tjal\tg", "\tjrc\t$ra"))
        self.same("\tnop", "\tjrc\t$ra")

    def test_code_of_32_bits_is_left_alone(self):
        text = "\t.set\tnomips16\n\tjal\tg\n\tnop\n\t.end\tf\n"
        self.assertEqual(shorten(text), text)

    def test_a_constant_stands_once(self):
        inline = ("\tlw\t$3, 1f", "\tb\t2f", "\t.align\t2", "1: \t.word\t-2147483648", "2:")
        other = (inline[0].replace("$3", "$5"), *inline[1:])
        pool = ("\t.align\t2", "$pool1_0:", "\t.4byte\t-2147483648")
        self.assertEqual(
            shorten(function(*inline, *other)), function("\tlw\t$3, $pool1_0", "\tlw\t$5, $pool1_0", *pool)
        )

    def test_an_address_is_a_constant(self):
        pool = ("\t.align\t2", "$pool1_0:", "\t.4byte\tsym")
        for rest in ("\tli\t$2, 7", "\tjal\tg", "\tlw\t$2, 4($sp)", "\tmove\t$2, $5"):
            self.assertEqual(shorten(function(*ADDRESS, rest)), function("\tlw\t$4, $pool1_0", rest, *pool), rest)

    def test_a_half_that_somebody_may_read_stays(self):
        for rest in ("\tmove\t$5, $2", "$BB1:", "\tbnez\t$3, $BB1", "\taddiu\t$2, 4", "\tlw\t$2, 4($2)", "\tjalrc\t$3"):
            self.same(*ADDRESS, rest)

    def test_each_function_has_its_own_pool(self):
        text = shorten(function(*ADDRESS, "\tjal\tg") * 2)
        self.assertIn("$pool1_0:", text)
        self.assertIn("$pool2_0:", text)


if __name__ == "__main__":
    unittest.main()
