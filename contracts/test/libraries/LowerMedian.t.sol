// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LowerMedian} from "../../libraries/LowerMedian.sol";
import {LibSort} from "solady/src/utils/LibSort.sol";
import {Test} from "../Vm.sol";

contract LowerMedianTest is Test {
    function testFuzz_find_isTheMiddleOfTheSorted(uint256 seed) public pure {
        uint256 n = 1 + (seed % 16);
        uint256[] memory values = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            uint256 some = uint256(keccak256(abi.encode(seed, i)));
            // Of any width; every fourth time few distinct ones, every fourth time alike but for the last bits.
            values[i] = some >> ((seed >> 8) & 0xff);
            if ((seed >> 16) & 3 == 0) values[i] = (some & 3) << ((seed >> 8) & 0xff);
            if ((seed >> 16) & 3 == 1) values[i] = (seed & ~uint256(0xffffff)) | (some & 0xffff11);
        }
        uint256[] memory sorted = LibSort.copy(values);
        LibSort.insertionSort(sorted);
        (uint256 median, bool even) = LowerMedian.find(values);
        vm.assertEq(median, sorted[(n - 1) / 2]);
        vm.assertTrue(even == (sorted[0] == sorted[n - 1]));
    }
}
