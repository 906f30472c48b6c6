// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract SubmitUpdateTest is Setup {
    bytes32 private constant ROOT = keccak256("root");

    function setUp() public {
        deployRunning(usual(), 4);
    }

    function _refuses(address who, uint32 base, bytes memory refusal) private {
        bytes memory call = abi.encodeCall(IFederation.submitUpdate, (base, ROOT, RAW, 1, 100));
        refuses(who, call, refusal);
    }

    /// Windows of one update: version 1 from trainer 1; trainer 2's waits in 2 for judgement.
    function _deployTiny() private {
        deploy(tiny());
        joinTrainers(5);
        joinValidators(4);
    }

    // ----- What it records -----

    function testFuzz_submitUpdate_saysAllAboutTheUpdate(
        bytes32 digest,
        bool isDag,
        uint8 encoding,
        uint32 samples
    ) public {
        vm.assume(digest != 0 && samples != 0);
        uint8 codec = isDag ? DAG_PB : RAW;
        submitAs(trainers[3]);
        vm.expectEmit(address(federation));
        emit IFederation.UpdateSubmitted(17, trainers[0], 0, digest, codec, encoding, samples);
        vm.prank(trainers[0]);
        vm.assertEq(federation.submitUpdate(0, digest, codec, encoding, samples), 17);

        IFederation.Update memory u = federation.update(17);
        vm.assertEq(u.id, 17);
        vm.assertEq(u.rootDigest, digest);
        vm.assertEq(u.rootCodec, codec);
        vm.assertEq(uint8(u.verdict), uint8(IFederation.Verdict.None));
        vm.assertEq(federation.update(16).rootCodec, RAW);
        IFederation.Participant memory p = federation.participant(trainers[0]);
        vm.assertEq(p.pendingWindows[0], 0);
        vm.assertEq(p.pendingWindows[1], 1);
        vm.assertEq(p.pendingIndices[1], 1);
        vm.assertEq(p.pendingBases[1], 0);
        vm.assertEq(p.pendingSamples[1], samples);
    }

    function test_submitUpdate_countsIdsByWindowAndIndex() public {
        for (uint256 i = 0; i < 4; ++i) vm.assertEq(submitAs(trainers[i]), 16 + i);
        vm.assertEq(submitAs(trainers[4]), 32);
        judge();
        vm.assertEq(submitAs(trainers[0]), 33);
    }

    function test_submitUpdate_opensAWindowAtItsFirst() public {
        vm.assertEq(federation.window(1).openedAt, 0);
        vm.assertEq(federation.window(1).deadline, 0);
        submitAs(trainers[0]);
        uint256 first = time();
        jump(10);
        submitAs(trainers[1]);
        IFederation.Window memory w = federation.window(1);
        vm.assertEq(uint8(w.phase), uint8(IFederation.Phase.Open));
        vm.assertEq(w.openedAt, first);
        vm.assertEq(w.updates, 2);
        vm.assertEq(w.deadline, first + 2 hours, "too few so far: twice maxWait");
        submitAs(trainers[2]);
        vm.assertEq(federation.window(1).deadline, first + 1 hours);
    }

    function test_submitUpdate_sealsWithTheLastThatFits() public {
        for (uint256 i = 0; i < 3; ++i) submitAs(trainers[i]);
        vm.assertEq(federation.head().openWindow, 1);
        vm.expectEmit(address(federation));
        emit IFederation.WindowSealed(1, 4);
        vm.prank(trainers[3]);
        federation.submitUpdate(0, ROOT, RAW, 1, 1);
        vm.assertEq(federation.head().openWindow, 2);
        vm.assertEq(federation.head().judgingWindow, 1);
        vm.assertEq(federation.window(1).sealedAt, time());
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Commit));
    }

    function test_submitUpdate_sealsOneBelowTheNumberOfTrainers() public {
        deploy(usual());
        vm.assertEq(federation.head().effectiveSize, 3);
        for (uint256 n = 1; n <= 8; ++n) {
            joinTrainers(1);
            uint256 size =
                n - 1 < 3
                    ? 3
                    : n - 1 > 4
                        ? 4
                        : n - 1;
            vm.assertEq(federation.head().effectiveSize, size);
            vm.assertEq(federation.head().trainers, n);
        }
        for (uint256 n = 8; n > 0; --n) {
            vm.prank(trainers[n - 1]);
            federation.requestExit();
            uint256 size =
                n < 2 || n - 2 < 3
                    ? 3
                    : n - 2 > 4
                        ? 4
                        : n - 2;
            vm.assertEq(federation.head().effectiveSize, size);
            vm.assertEq(federation.head().trainers, n - 1);
        }
    }

    function test_submitUpdate_remembersTheLastTwo() public {
        _deployTiny();
        submitAs(trainers[0]);
        submitAs(trainers[1], 0, ROOT, RAW, 7);
        judge();
        submitAs(trainers[1], 1, ROOT, RAW, 9);
        IFederation.Participant memory p = federation.participant(trainers[1]);
        vm.assertEq(p.pendingWindows[0], 2);
        vm.assertEq(p.pendingBases[0], 0);
        vm.assertEq(p.pendingSamples[0], 7);
        vm.assertEq(p.pendingWindows[1], 3);
        vm.assertEq(p.pendingBases[1], 1);
        vm.assertEq(p.pendingSamples[1], 9);
        judge();
        judge();
        vm.assertEq(federation.head().version, 3);
        submitAs(trainers[1]);
        vm.assertEq(federation.participant(trainers[1]).pendingWindows[0], 0, "both have ended");
        vm.assertEq(federation.participant(trainers[1]).pendingWindows[1], 4);
    }

    // ----- Who may not -----

    function test_submitUpdate_remembersTheOlderOnesPlaceAndBase() public {
        deployRunning(usual(), 4);
        runWindow();
        fillWindow();
        scoreAll();
        tally();
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], ROOT); // a version, not settled
        submitAs(trainers[2]);
        IFederation.Participant memory p = federation.participant(trainers[2]);
        vm.assertEq(p.pendingWindows[0], 2);
        vm.assertEq(p.pendingIndices[0], 2);
        vm.assertEq(p.pendingBases[0], 1);
        vm.assertEq(p.pendingWindows[1], 3);
        vm.assertEq(p.pendingIndices[1], 0);
        vm.assertEq(p.pendingBases[1], 2);
    }

    function test_submitUpdate_refusesWhenClosedBeforeAnythingElse() public {
        vm.startPrank(owner);
        federation.pause();
        federation.close();
        vm.stopPrank();
        _refuses(address(this), 9, abi.encodeWithSelector(IFederation.IsClosed.selector));
    }

    function test_submitUpdate_refusesWhilePaused() public {
        vm.prank(owner);
        federation.pause();
        _refuses(address(this), 9, abi.encodeWithSelector(IFederation.IsPaused.selector));
        vm.prank(owner);
        federation.unpause();
        submitAs(trainers[0]);
    }

    function test_submitUpdate_refusesWhoIsNoTrainer() public {
        bytes4 refusal = IFederation.NotTrainer.selector;
        _refuses(address(this), 9, abi.encodeWithSelector(refusal, address(this)));
        _refuses(validators[0], 9, abi.encodeWithSelector(refusal, validators[0]));
        vm.prank(trainers[0]);
        federation.requestExit();
        _refuses(trainers[0], 9, abi.encodeWithSelector(refusal, trainers[0]));
    }

    function test_submitUpdate_refusesTheJailedToTheLastSecond() public {
        _deployTiny();
        allWillScore(-2000);
        for (uint256 k = 0; k < 3; ++k) {
            submitAs(trainers[0]);
            scoreAll();
            tally();
        }
        uint256 until = time() + 1 days;
        vm.assertEq(federation.participant(trainers[0]).trainerJailedUntil, until);
        _refuses(trainers[0], 9, abi.encodeWithSelector(IFederation.JailedUntil.selector, until));
        vm.warp(until);
        _refuses(trainers[0], 9, abi.encodeWithSelector(IFederation.JailedUntil.selector, until));
        vm.warp(until + 1);
        vm.assertEq(federation.participant(trainers[0]).trainerJailedUntil, 0);
        submitAs(trainers[0]);
    }

    function test_submitUpdate_refusesAShortStakeUntilItIsToppedUp() public {
        _deployTiny();
        allWillScore(MALFORMED);
        submitAs(trainers[0]);
        scoreAll();
        tally();
        uint256 left = STAKE - STAKE / 50;
        bytes4 refusal = IFederation.StakeBelowMinimum.selector;
        _refuses(trainers[0], 9, abi.encodeWithSelector(refusal, left, STAKE));
        vm.deal(trainers[0], 1 ether);
        vm.prank(trainers[0]);
        federation.topUp{value: STAKE / 50}(STAKE / 50);
        submitAs(trainers[0]);
    }

    // ----- On which base -----

    function testFuzz_submitUpdate_refusesABaseThatIsNotFinal(uint32 base) public {
        vm.assume(base != 0);
        _refuses(
            trainers[0],
            base,
            abi.encodeWithSelector(IFederation.BaseNotFinal.selector, base, 0)
        );
    }

    function test_submitUpdate_refusesAStaleBase() public {
        IFederation.Parameters memory p = tiny();
        p.maxStaleness = 2;
        deploy(p);
        joinTrainers(4);
        joinValidators(4);
        for (uint32 v = 0; v < 3; ++v) runWindow();
        bytes memory refusal = abi.encodeWithSelector(IFederation.BaseTooStale.selector, 0, 1);
        _refuses(trainers[1], 0, refusal);
        submitAs(trainers[1], 1, ROOT, RAW, 1);
    }

    function test_submitUpdate_refusesTheSameBaseWhileItsLastIsUnjudged() public {
        submitAs(trainers[0]);
        _refuses(trainers[0], 0, abi.encodeWithSelector(IFederation.BaseNotNewer.selector, 0, 0));
        for (uint256 i = 1; i < 4; ++i) submitAs(trainers[i]);
        _refuses(trainers[0], 0, abi.encodeWithSelector(IFederation.BaseNotNewer.selector, 0, 0));
    }

    function test_submitUpdate_takesTheSameBaseOnceItsWindowBroughtNoVersion() public {
        _deployTiny();
        allWillScore(-2000);
        submitAs(trainers[0]);
        scoreAll();
        tally();
        vm.assertEq(federation.head().version, 0);
        vm.assertEq(submitAs(trainers[0]), 32);
    }

    function test_submitUpdate_refusesAnOlderBaseThanItsLast() public {
        _deployTiny();
        runWindow();
        runWindow();
        submitAs(trainers[3], 1, ROOT, RAW, 1);
        bytes4 refusal = IFederation.BaseNotNewer.selector;
        _refuses(trainers[3], 0, abi.encodeWithSelector(refusal, 0, 1));
        _refuses(trainers[3], 1, abi.encodeWithSelector(refusal, 1, 1));
        judge();
        vm.assertEq(federation.head().version, 3);
        _refuses(trainers[3], 1, abi.encodeWithSelector(refusal, 1, 1));
        submitAs(trainers[3], 2, ROOT, RAW, 1);
    }

    // ----- How much at a time -----

    function test_submitUpdate_refusesTwoInOneWindow() public {
        for (uint256 i = 0; i < 5; ++i) submitAs(trainers[i]);
        judge();
        _refuses(trainers[4], 1, abi.encodeWithSelector(IFederation.AlreadyInWindow.selector, 2));
    }

    function test_submitUpdate_refusesAThirdUnjudged() public {
        _deployTiny();
        for (uint256 i = 0; i < 3; ++i) submitAs(trainers[i]);
        judge();
        submitAs(trainers[2]);
        scoreAll();
        tally();
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], ROOT);
        vm.assertEq(federation.head().version, 2);
        _refuses(trainers[2], 2, abi.encodeWithSelector(IFederation.TooManyPending.selector, 3));
        settle();
        _refuses(trainers[2], 2, abi.encodeWithSelector(IFederation.TooManyPending.selector, 3));
        scoreAll();
        tally();
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], ROOT);
        _refuses(trainers[2], 3, abi.encodeWithSelector(IFederation.TooManyPending.selector, 3));
        settle();
        submitAs(trainers[2]);
    }

    function test_submitUpdate_refusesWhenTheRingIsFull() public {
        deploy(tiny());
        joinTrainers(9);
        joinValidators(4);
        for (uint256 i = 0; i < 8; ++i) vm.assertEq(submitAs(trainers[i]), 16 * (i + 1));
        uint256 retryAt = time() + 15 minutes;
        _refuses(trainers[8], 0, abi.encodeWithSelector(IFederation.QueueFull.selector, retryAt));
        judge();
        vm.assertEq(submitAs(trainers[8]), 16 * 9);
    }

    // ----- What an update is -----

    function testFuzz_submitUpdate_refusesOtherCodecs(bytes32 digest, uint8 codec) public {
        vm.assume(codec != RAW && codec != DAG_PB);
        bytes memory refusal = abi.encodeWithSelector(
            IFederation.InvalidRoot.selector,
            digest,
            codec
        );
        bytes memory call = abi.encodeCall(IFederation.submitUpdate, (0, digest, codec, 1, 100));
        refuses(trainers[0], call, refusal);
    }

    function test_submitUpdate_refusesNoDigest() public {
        bytes memory call = abi.encodeCall(IFederation.submitUpdate, (0, 0, DAG_PB, 1, 100));
        refuses(
            trainers[0],
            call,
            abi.encodeWithSelector(IFederation.InvalidRoot.selector, bytes32(0), DAG_PB)
        );
    }

    function test_submitUpdate_refusesNoSamples() public {
        bytes memory call = abi.encodeCall(IFederation.submitUpdate, (0, ROOT, RAW, 1, 0));
        bytes memory refusal = abi.encodeWithSelector(IFederation.InvalidSamples.selector, 0);
        refuses(trainers[0], call, refusal);
    }
}
