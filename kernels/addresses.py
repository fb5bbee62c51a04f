"""Numba's view of memory at an address: planes are read where the decoder put them, without an array object per row.

Also the few operations whose shape LLVM has to see: as 32-bit integer arithmetic a sum of absolute differences becomes
the processor's own instruction for it (x86 PSADBW), where numba's operators would widen to 64 bit first.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def samples_at(typing_context: Any, address: Any, like: Any) -> Any:
    """A pointer to samples of the type of `like` (np.uint8(0), np.uint16(0), np.int64(0)) at an int64 address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(types.int64, like), generate


@intrinsic
def add_difference(typing_context: Any, total: Any, a: Any, b: Any) -> Any:
    """`total + |a - b|` as int32; a and b are unsigned samples of at most 16 bit. The caller bounds the sum."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        difference = builder.sub(builder.zext(arguments[1], word), builder.zext(arguments[2], word))
        negative = builder.icmp_signed("<", difference, ir.Constant(word, 0))
        return builder.add(arguments[0], builder.select(negative, builder.neg(difference), difference))

    return types.int32(types.int32, a, b), generate


@intrinsic
def add_bit(typing_context: Any, total: Any, condition: Any) -> Any:
    """`total + 1` where the condition holds, as int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.add(arguments[0], builder.zext(arguments[1], ir.IntType(32)))

    return types.int32(types.int32, types.boolean), generate
