// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Numbers} from "../../libraries/Numbers.sol";
import {Test} from "../Vm.sol";

contract NumbersTest is Test {
    function testFuzz_set_keepsEveryNumber(
        uint24 a,
        uint24 b,
        uint24 c,
        uint256 beside
    ) public pure {
        bytes memory list = Numbers.room(3);
        uint256[1] memory neighbour = [beside];
        Numbers.set(list, 0, a);
        Numbers.set(list, 1, b);
        Numbers.set(list, 2, c);
        vm.assertEq(list.length, 9);
        vm.assertEq(numberAt(list, 0), a);
        vm.assertEq(numberAt(list, 1), b);
        vm.assertEq(numberAt(list, 2), c);
        vm.assertEq(neighbour[0], beside, "and what lies behind the list");
    }

    function test_room_forNone() public pure {
        vm.assertEq(Numbers.room(0).length, 0);
    }
}
