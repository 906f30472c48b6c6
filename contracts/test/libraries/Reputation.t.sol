// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Reputation} from "../../libraries/Reputation.sol";
import {Test} from "../Vm.sol";

contract ReputationTest is Test {
    uint256 private constant PPM = 1e6;

    function testFuzz_afterPaid_climbsTowardOne(uint24 reputation) public pure {
        vm.assume(reputation <= PPM);
        vm.assertEq(Reputation.afterPaid(reputation), reputation + (5 * (PPM - reputation)) / 100);
    }

    function testFuzz_afterRejected_fallsByAFifth(uint24 reputation) public pure {
        vm.assume(reputation <= PPM);
        vm.assertEq(
            Reputation.afterRejected(reputation),
            reputation - (20 * uint256(reputation)) / 100
        );
    }

    function testFuzz_afterMissed_keepsNineTenths(uint24 reputation) public pure {
        vm.assume(reputation <= PPM);
        vm.assertEq(
            Reputation.afterMissed(reputation),
            reputation - (10 * uint256(reputation)) / 100
        );
    }

    function testFuzz_afterAgreement_staysBetweenItselfAndItsAim(
        uint24 reputation,
        int24 agreement
    ) public pure {
        vm.assume(reputation <= PPM);
        vm.assume(agreement >= -1e6 && agreement <= 1e6);
        uint256 aim = uint256((1e6 + int256(agreement)) / 2);
        uint256 after_ = Reputation.afterAgreement(reputation, agreement);
        bool isBelow = reputation <= aim;
        vm.assertGe(after_, isBelow ? reputation : aim);
        vm.assertLe(after_, isBelow ? aim : reputation);
        uint256 far = isBelow ? aim - reputation : reputation - aim;
        uint256 moved = isBelow ? after_ - reputation : reputation - after_;
        vm.assertEq(moved, (5 * far) / 100);
    }
}
