// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Lanes} from "../../libraries/Lanes.sol";
import {Test} from "../Vm.sol";

contract LanesTest is Test {
    function lane(uint256 row, uint256 i) private pure returns (uint256) {
        return (row >> (240 - 16 * i)) & 0xffff;
    }

    /// The set of the lanes whose bits are set, lane 0 the lowest bit.
    function lanes(uint16 which) private pure returns (uint256 set) {
        for (uint256 i = 0; i < 16; ++i) {
            if ((which >> i) & 1 != 0) set |= 0xffff << (240 - 16 * i);
        }
    }

    /// Any row below 2^15; every other time of few distinct values, for ties.
    function values(uint256 seed) private pure returns (uint256) {
        uint256 some = uint256(keccak256(abi.encode(seed)));
        return some & (seed & 1 == 0 ? ~Lanes.TOPS : 3 * Lanes.ONES);
    }

    function testFuzz_size_countsLanes(uint16 which) public pure {
        uint256 count;
        for (uint256 i = 0; i < 16; ++i) count += (which >> i) & 1;
        vm.assertEq(Lanes.size(lanes(which)), count);
    }

    function test_first_areFromTheTop() public pure {
        for (uint256 n = 0; n <= 16; ++n) vm.assertEq(Lanes.first(n), lanes(uint16((1 << n) - 1)));
    }

    function testFuzz_atLeast_comparesEveryLane(uint256 seed, uint256 value) public pure {
        value = seed & 2 == 0 ? bound(value, 0, 2 ** 15) : lane(values(seed), 3);
        uint256 set = Lanes.atLeast(values(seed), value);
        for (uint256 i = 0; i < 16; ++i)
            vm.assertEq(lane(set, i), lane(values(seed), i) >= value ? 0xffff : 0);
    }

    function testFuzz_kth_hasAtMostKBelowAndMoreUpToIt(
        uint256 seed,
        uint16 which,
        uint256 k
    ) public pure {
        uint256 set = lanes(which);
        vm.assume(which != 0);
        k = bound(k, 0, Lanes.size(set) - 1);
        uint256 value = Lanes.kth(values(seed), set, k);
        uint256 below;
        uint256 upTo;
        for (uint256 i = 0; i < 16; ++i) {
            if (lane(set, i) == 0) continue;
            if (lane(values(seed), i) < value) ++below;
            if (lane(values(seed), i) <= value) ++upTo;
        }
        vm.assertLe(below, k);
        vm.assertGt(upTo, k);
    }

    function testFuzz_withoutLast_keepsTheFirst(uint16 which, uint256 excess) public pure {
        uint256 set = lanes(which);
        excess = bound(excess, 0, Lanes.size(set));
        uint256 kept = Lanes.withoutLast(set, excess);
        uint256 left = Lanes.size(set) - excess;
        for (uint256 i = 0; i < 16; ++i) {
            bool isKept = lane(set, i) != 0 && left != 0;
            vm.assertEq(lane(kept, i), isKept ? 0xffff : 0);
            if (isKept) --left;
        }
    }

    /// @notice All sets there are.
    function test_size_countsEverySet() public pure {
        for (uint256 which = 0; which < 2 ** 16; ++which) {
            uint256 count;
            for (uint256 rest = which; rest != 0; rest &= rest - 1) ++count;
            if (Lanes.size(lanes(uint16(which))) != count) vm.assertEq(which, 0, "miscounted");
        }
    }
}
