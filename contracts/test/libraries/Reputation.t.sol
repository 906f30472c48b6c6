// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Reputation} from "../../libraries/Reputation.sol";
import {Test} from "../Vm.sol";

contract ReputationTest is Test {
    uint256 private constant PPM = 1e6;

    error MovesWrongly(uint256 reputation);

    function test_moves_areThoseOfTheRuleForEveryReputation() public pure {
        for (uint256 reputation = 0; reputation <= PPM; ++reputation) {
            bool isRight =
                Reputation.afterPaid(reputation) == reputation + (5 * (PPM - reputation)) / 100 &&
                    Reputation.afterRejected(reputation) == reputation - (20 * reputation) / 100 &&
                    Reputation.afterMissed(reputation) == reputation - (10 * reputation) / 100;
            if (!isRight) revert MovesWrongly(reputation);
        }
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
