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

    /// @notice All lists of one to six of four values, which differ in the first digit, in the last, and in both.
    function test_find_isTheMiddleOfEveryShortList() public pure {
        uint256[4] memory some = [uint256(0), 1, 2 ** 15, 2 ** 40 + 1];
        for (uint256 n = 1; n <= 6; ++n) {
            uint256[] memory values = new uint256[](n);
            for (uint256 which = 0; which < 4 ** n; ++which) {
                uint256[4] memory counts;
                for (uint256 i = 0; i < n; ++i) {
                    uint256 kind = (which >> (2 * i)) & 3;
                    values[i] = some[kind];
                    ++counts[kind];
                }
                uint256 middle;
                for (uint256 upTo = counts[0]; upTo < (n + 1) / 2; upTo += counts[++middle]) {}
                (uint256 median, bool even) = LowerMedian.find(values);
                bool isEven = counts[middle] == n;
                if (median != some[middle] || even != isEven) vm.assertEq(which, n, "not it");
            }
        }
    }
}
