// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";
import {Lanes} from "./Lanes.sol";

/// @title The lower median of 1 to 16 values, without sorting them
/// @notice The least x for which at least half of the values are up to it.
/// @dev Takes 15 bits of all values at a time, from the first bit in which they differ, until one value is left or no
/// bits are.
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
            if (differ == 0) return (median, true);

            uint256 left = LibBit.fls(differ) + 1;
            uint256 set = Lanes.first(n);
            uint256 k = (n - 1) / 2;
            do {
                left = left > BITS ? left - BITS : 0;
                uint256 row;
                for (uint256 i = 0; i < n; ++i)
                    row |= ((values.get(i) >> left) & DIGIT) << (240 - 16 * i);
                uint256 digit = Lanes.kth(row, set, k);
                uint256 notBelow = set & Lanes.atLeast(row, digit);
                k -= Lanes.size(set ^ notBelow);
                set = notBelow & ~Lanes.atLeast(row, digit + 1);
            } while (left != 0 && Lanes.size(set) != 1);
            median = values.get((255 - LibBit.fls(set)) / 16);
        }
    }
}
