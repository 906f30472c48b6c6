// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Sixteen values in a word, compared at once
/// @notice A row is one word of 16 lanes of 16 bits, each a value below 2^15; a set is a row with 0xffff in the lanes
/// that are in it, 0 in the others.
/// @dev With the top bit of every lane set, no lane of a row borrows from the next when less than 2^15 is taken from
/// each, and it keeps its top bit where the value was not less. A lane of a sum or product here is below 2^16: no lane
/// carries. So the arithmetic is unchecked.
library Lanes {
    uint256 internal constant ONES =
        0x0001000100010001000100010001000100010001000100010001000100010001;
    uint256 internal constant TOPS =
        0x8000800080008000800080008000800080008000800080008000800080008000;
    uint256 internal constant FULL = 0xffff;
    uint256 private constant EIGHTS = ONES << 3;

    /// @notice The first n <= 16 lanes, from the top.
    function first(uint256 n) internal pure returns (uint256) {
        unchecked {
            return ~(type(uint256).max >> (16 * n));
        }
    }

    /// @notice How many lanes are in a set: the sum of its digits of one in base 2^16, so what they are modulo 2^16 - 1.
    function size(uint256 set) internal pure returns (uint256) {
        unchecked {
            return (set / FULL) % FULL;
        }
    }

    /// @notice The lanes of a row with at least a value, itself at most 2^15.
    function atLeast(uint256 row, uint256 value) internal pure returns (uint256) {
        unchecked {
            return ((((row | TOPS) - value * ONES) & TOPS) >> 15) * FULL;
        }
    }

    /// @notice The k-th least, from 0, of the more than k lanes in a set: bit by bit the most that is above k of them
    /// at the most.
    function kth(uint256 row, uint256 set, uint256 k) internal pure returns (uint256 value) {
        unchecked {
            uint256 rest = row | ~set | TOPS; // less the value; lanes that are not in the set count as above all
            uint256 unit = ONES << 14;
            for (uint256 bit = 1 << 14; bit != 0; bit >>= 1) {
                uint256 less = rest - unit;
                unit >>= 1;
                // Eight times how many are not below. (In eights, as the compiler puts constants that it meets often
                // where they cost ten times as much: not into loops.)
                if ((((less >> 12) & EIGHTS) % FULL) + 8 * k < 128) continue;
                value |= bit;
                rest = less;
            }
        }
    }

    /// @notice A set without its last `excess` lanes, which it has.
    function withoutLast(uint256 set, uint256 excess) internal pure returns (uint256) {
        unchecked {
            for (; excess != 0; --excess) set ^= (set & (0 - set)) * FULL;
        }
        return set;
    }
}
