// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";
import {Lanes} from "./Lanes.sol";

/// @title The lower median of 1 to 16 values, without sorting them
/// @notice The least x for which at least half of the values are up to it.
/// @dev Takes 15 bits of all values at a time, from the first in which those that may be it differ, until none do.
library LowerMedian {
    using DynamicArrayLib for uint256[];

    uint256 private constant BITS = 15;
    uint256 private constant DIGIT = (1 << BITS) - 1;

    /// @return median It.
    /// @return even Whether the values are all the same.
    function find(uint256[] memory values) internal pure returns (uint256 median, bool even) {
        uint256 n = values.length;
        // Safe: indices are below n <= 16; k is below the number of lanes in the set, and what is taken from it is
        // how many of them lie below the k-th.
        unchecked {
            median = values.get(0);
            uint256 differ;
            for (uint256 i = 1; i < n; ++i) differ |= values.get(i) ^ median;
            even = differ == 0;

            uint256 set = Lanes.first(n);
            uint256 k = (n - 1) / 2;
            while (differ != 0) {
                uint256 shift = LibBit.fls(differ);
                shift = shift < BITS ? 0 : shift - (BITS - 1);
                uint256 row;
                for (uint256 i = 0; i < n; ++i)
                    row = (row << 16) | ((values.get(i) >> shift) & DIGIT);
                row <<= 256 - 16 * n;
                uint256 digit = Lanes.kth(row, set, k);
                uint256 notBelow = set & Lanes.atLeast(row, digit);
                k -= Lanes.size(set ^ notBelow);
                set = notBelow & ~Lanes.atLeast(row, digit + 1);
                (median, differ) = _compare(values, set);
            }
        }
    }

    /// @dev One of the values in a set, and the bits in which they differ.
    function _compare(
        uint256[] memory values,
        uint256 set
    ) private pure returns (uint256 one, uint256 differ) {
        // Safe: only lanes of values are in the set.
        unchecked {
            one = values.get((255 - LibBit.fls(set)) / 16);
            if (Lanes.size(set) == 1) return (one, 0);
            for (uint256 i = 0; set != 0; (++i, set <<= 16)) {
                if (set >> 255 != 0) differ |= values.get(i) ^ one;
            }
        }
    }
}
