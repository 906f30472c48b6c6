// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Words} from "../../libraries/Words.sol";
import {Test} from "../Vm.sol";

contract WordsTest is Test {
    function testFuzz_set_changesItsFieldAlone(
        uint256 word,
        uint8 shift,
        uint8 width,
        uint256 value
    ) public pure {
        vm.assume(width != 0 && uint256(shift) + width <= 256);
        uint256 mask = (1 << width) - 1;
        value &= mask;
        uint256 field = shift | (uint256(width) << 8);
        uint256 changed = Words.set(word, field, value);
        vm.assertEq(Words.get(changed, field), value);
        vm.assertEq((changed ^ word) & ~(mask << shift), 0);
    }

    function testFuzz_put_isSetInNothing(uint8 shift, uint8 width, uint256 value) public pure {
        vm.assume(width != 0 && uint256(shift) + width <= 256);
        value &= (1 << width) - 1;
        uint256 field = shift | (uint256(width) << 8);
        vm.assertEq(Words.put(field, value), Words.set(0, field, value));
    }

    function testFuzz_withLane_changesItsLaneAlone(
        uint256 word,
        uint8 index,
        uint256 value
    ) public pure {
        for (uint256 width = 2; width <= 128; width *= 2) {
            uint256 at = index % (256 / width);
            uint256 mask = (1 << width) - 1;
            uint256 changed = Words.withLane(word, at, width, value & mask);
            vm.assertEq(Words.lane(changed, at, width), value & mask);
            vm.assertEq((changed ^ word) & ~(mask << (at * width)), 0);
        }
    }
}
