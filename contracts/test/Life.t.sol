// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFederation} from "../IFederation.sol";
import {FederationTest} from "./FederationTest.sol";

/// @title A federation's life from end to end
contract LifeTest is FederationTest {
    function setUp() public override {
        super.setUp();
        people(5, 4);
        fundPool(1000 ether);
    }

    function test_life_makesAVersionOfAWindow() public {
        skip(1 hours);
        submitAll(4);
        vm.assertTrue(judged().phase == IFederation.Phase.Commit);
        skip(5 minutes);
        bytes memory scores = goodScores(4);
        for (uint256 i = 0; i < 4; ++i) commit(validators[i], scores, 3);
        vm.assertTrue(judged().phase == IFederation.Phase.Reveal, "all committed");
        for (uint256 i = 0; i < 4; ++i) reveal(validators[i], scores, 3);
        vm.assertTrue(judged().phase == IFederation.Phase.Tally, "all revealed");
        tally();
        vm.assertTrue(federation.update(16).verdict == IFederation.Verdict.Paid);
        vm.assertTrue(
            federation.update(19).verdict == IFederation.Verdict.Rejected,
            "beyond the keep vote"
        );
        for (uint256 i = 0; i < 3; ++i) attest(validators[i], model(1));
        vm.assertEq(version(), 1, "three of four are a quorum");
        vm.assertTrue(judged().phase == IFederation.Phase.Attest, "the fourth still may");
        attest(validators[3], model(1));
        vm.assertTrue(federation.window(1).phase == IFederation.Phase.Final);
        vm.assertEq(federation.modelDigest(1), model(1));
        vm.assertGt(personOf(trainers[0]).credit, 0);
        vm.assertGt(personOf(validators[3]).credit, 0);
        vm.assertEq(personOf(trainers[3]).credit, 0);
    }

    function test_life_goesOnForMoreWindowsThanTheRingHolds() public {
        for (uint256 n = 1; n <= 20; ++n) {
            makeVersion();
            vm.assertEq(version(), n);
            skip(1 minutes);
        }
        vm.assertEq(head().judgingWindow, 21);
    }
}
