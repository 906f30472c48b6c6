// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Attacks} from "./Attacks.sol";

/// @title What can be done by those who train
/// @notice Whether an update is worth anything is found out off the chain, by whoever scores it (`bafl/judge`): here
/// validators say what they find in such a case.
contract TrainingAttacksTest is Attacks {
    function setUp() public {
        deployRunning(usual(), 5);
        fund(100 ether);
        jump(1 hours);
    }

    function _verdict(uint256 updateId) private view returns (IFederation.Verdict) {
        return federation.update(updateId).verdict;
    }

    function test_aRandomDigest_isNotPaid() public {
        fillWindow();
        allWillScore(list(UNAVAILABLE, 300, 200, 100)); // nobody finds bytes for it
        judge();
        vm.assertTrue(_verdict(16) == IFederation.Verdict.Rejected);
        vm.assertEq(federation.update(16).share, 0);
        vm.assertEq(who(trainers[0]).credit, 0);
        vm.assertLt(who(trainers[0]).trainerReputation, START);
        vm.assertEq(who(trainers[0]).stake, STAKE, "it may have been lost");
        vm.assertTrue(_verdict(17) == IFederation.Verdict.Paid, "the others are");
    }

    /// @notice Who is shown nothing says so; the majority decides whether there was anything to be seen.
    function test_aPayloadForAMinority_isRejected() public {
        fillWindow();
        for (uint256 i = 0; i < 2; ++i) willScore(validators[i], list(9_000, 300, 200, 100));
        for (uint256 i = 2; i < 5; ++i) willScore(validators[i], list(UNAVAILABLE, 300, 200, 100));
        judge();
        vm.assertTrue(_verdict(16) == IFederation.Verdict.Rejected);
        vm.assertEq(federation.head().version, 1, "and delays nothing");
        for (uint256 i = 0; i < 5; ++i) vm.assertEq(who(validators[i]).missed, 0, "no fault");
    }

    /// @notice A payload's header names its author: under any other name its bytes break the format.
    function test_aDigestTakenFromAnother_costsTheTakerAndNotTheAuthor() public {
        bytes32 digest = newDigest();
        submitAs(trainers[0], 0, digest, RAW, 100); // saw it in the mempool
        submitAs(trainers[1], 0, digest, RAW, 100); // whose it is
        fillWindowFrom(2);
        allWillScore(list(MALFORMED, 300, 200, 100));
        judge();
        vm.assertTrue(_verdict(16) == IFederation.Verdict.Malformed);
        vm.assertEq(who(trainers[0]).stake, STAKE - SLASH);
        vm.assertEq(who(trainers[0]).credit, 0);
        vm.assertTrue(_verdict(17) == IFederation.Verdict.Paid);
        vm.assertEq(who(trainers[1]).stake, STAKE);
        vm.assertGt(who(trainers[1]).credit, 0);
    }

    function test_nothingAndNoise_areUsedButNotPaid() public {
        fillWindow();
        allWillScore(list(0, -10, 200, 100));
        judge();
        for (uint256 i = 0; i < 2; ++i) {
            vm.assertTrue(_verdict(16 + i) == IFederation.Verdict.Accepted);
            vm.assertEq(who(trainers[i]).credit, 0);
            vm.assertEq(who(trainers[i]).trainerReputation, START, "and gains no reputation");
        }
        vm.assertGt(who(trainers[2]).credit, 0);
    }

    /// @dev The share of the first of a window whose other updates declare 100 samples.
    function _shareWith(uint32 samples) private returns (uint32 share) {
        uint256 before = vm.snapshotState();
        submitAs(trainers[0], federation.head().version, bytes32("first"), RAW, samples);
        fillWindowFrom(1);
        allWillScore(list(100, 100, 100, 100));
        judge();
        share = federation.update(16).share;
        vm.revertToState(before);
    }

    function test_declaredSamples_moveNothing() public {
        uint32 share = _shareWith(100);
        vm.assertEq(share, 250_000);
        vm.assertEq(_shareWith(type(uint32).max), share);
        vm.assertEq(_shareWith(1), share);
    }

    function test_declaredSamplesThatAreTrusted_countAsTwiceTheMedianAtMost() public {
        IFederation.Parameters memory p = usual();
        p.trustSamples = true;
        deployRunning(p, 5);
        uint32 share = _shareWith(200);
        vm.assertGt(share, 250_000);
        vm.assertEq(_shareWith(type(uint32).max), share);
    }

    function test_poisonInEveryThirdWindow_isJailedAtTheThird() public {
        for (uint256 window = 0; window < 7; ++window) {
            vm.assertEq(who(trainers[0]).trainerJailedUntil, 0);
            fillWindow();
            bool isPoison = window % 3 == 0;
            allWillScore(list(isPoison ? int16(-5_000) : int16(400), 300, 200, 100));
            judge();
            IFederation.Verdict verdict = _verdict((window + 1) * 16);
            vm.assertTrue((verdict == IFederation.Verdict.Rejected) == isPoison);
        }
        vm.assertEq(who(trainers[0]).trainerJailedUntil, time() + 1 days);
        refuses(
            trainers[0],
            abi.encodeCall(IFederation.submitUpdate, (7, bytes32("u"), RAW, 0, 1)),
            abi.encodeWithSelector(IFederation.JailedUntil.selector, time() + 1 days)
        );
    }

    function test_equalScores_payEqualSharesAndKeepTheRest() public {
        fillWindow();
        allWillScore(list(100, 100, 100, 100));
        judge();
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(federation.update(16 + i).share, 250_000);
            vm.assertEq(who(trainers[i]).credit, who(trainers[0]).credit);
        }
        for (uint256 i = 1; i < 5; ++i) {
            vm.assertEq(who(validators[i]).credit, who(validators[0]).credit);
        }
        vm.assertGt(who(trainers[0]).credit, 0);
        vm.assertGt(who(validators[0]).credit, 0);
        checkMoney();
    }
}
