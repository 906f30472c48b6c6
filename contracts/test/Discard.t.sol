// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";
import {Vm} from "./Vm.sol";

contract DiscardTest is Setup {
    bytes32 private constant MODEL = keccak256("model");
    uint256 private constant SLASH = STAKE / 50;
    bytes private _call = abi.encodeCall(IFederation.discard, (1));

    function setUp() public {
        deployRunning(usual(), 6);
        fillWindow();
    }

    function _discards(IFederation.VoidReason reason) private {
        vm.expectEmit(address(federation));
        emit IFederation.WindowVoided(1, reason);
        federation.discard(1);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Void));
        vm.assertEq(federation.head().judgingWindow, 2);
        vm.assertEq(federation.head().version, 0);
        checkMoney();
    }

    function _refusesEarly(uint256 notBefore) private {
        bytes memory refusal = abi.encodeWithSelector(IFederation.TooEarly.selector, notBefore);
        refuses(address(this), _call, refusal);
    }

    function _refusesPhase(IFederation.Phase phase) private {
        bytes4 refusal = IFederation.WrongPhase.selector;
        bytes memory given = abi.encodeWithSelector(refusal, 1, phase, IFederation.Phase.Tally);
        refuses(address(this), _call, given);
    }

    /// @dev Three of six reveal: less than two thirds.
    function _revealTooFew() private {
        for (uint256 i = 0; i < 5; ++i) commitAs(validators[i]);
        passDeadline();
        for (uint256 i = 0; i < 3; ++i) revealAs(validators[i]);
    }

    // ----- Too few reveals -----

    function test_discard_waitsForTheRevealDeadline() public {
        _refusesPhase(IFederation.Phase.Commit);
        vm.warp(judged().deadline);
        _refusesPhase(IFederation.Phase.Commit);
        vm.warp(time() - 1);
        _revealTooFew();
        _refusesPhase(IFederation.Phase.Reveal);
        vm.warp(judged().deadline);
        _refusesPhase(IFederation.Phase.Reveal);
        jump(1);
        _discards(IFederation.VoidReason.TooFewReveals);
    }

    function test_discard_waitsForTheTallyOfExactlyTwoThirds() public {
        for (uint256 i = 0; i < 5; ++i) commitAs(validators[i]);
        passDeadline();
        for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
        passDeadline();
        _refusesEarly(uint256(judged().deadline) + 1);
        tally();
    }

    function test_discard_comesAtOnceWhenNobodyCommitted() public {
        passDeadline();
        _discards(IFederation.VoidReason.TooFewReveals);
        for (uint256 i = 0; i < 6; ++i) {
            vm.assertEq(federation.participant(validators[i]).missed, 1);
        }
    }

    function test_discard_countsMissedRevealsAndSlashesTheCommitted() public {
        _revealTooFew();
        passDeadline();
        vm.expectEmit(address(federation));
        emit IFederation.Slashed(validators[3], 1, IFederation.Fault.CommittedNotRevealed, SLASH);
        vm.recordLogs();
        federation.discard(1);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(countOf(logs, IFederation.Slashed.selector), 2);
        (bool isFinal, uint256[] memory pay, bytes memory reputations, , bytes memory moved) = abi
            .decode(
                dataOf(logs, IFederation.WindowSettled.selector),
                (bool, uint256[], bytes, uint256[], bytes)
            );
        vm.assertFalse(isFinal);
        vm.assertEq(pay.length + reputations.length, 0);
        for (uint256 i = 0; i < 6; ++i) {
            IFederation.Participant memory p = federation.participant(validators[i]);
            vm.assertEq(numberAt(moved, i), i < 3 ? START : 270_000);
            vm.assertEq(p.validatorReputation, numberAt(moved, i));
            vm.assertEq(p.missed, i < 3 ? 0 : 1);
            vm.assertEq(p.stake, i == 3 || i == 4 ? STAKE - SLASH : STAKE);
        }
        vm.assertEq(federation.head().slashed, 2 * SLASH);
        checkMoney();
    }

    function test_discard_leavesTrainersAsTheyWere() public {
        allWillScore(list(MALFORMED, -2000, 10, 10));
        scoreAll();
        passDeadline();
        _discards(IFederation.VoidReason.NotTallied);
        for (uint256 i = 0; i < 4; ++i) {
            IFederation.Participant memory p = federation.participant(trainers[i]);
            vm.assertEq(p.trainerReputation, START);
            vm.assertEq(p.rejections, 0);
            vm.assertEq(p.stake, STAKE);
            submitAs(trainers[i]);
        }
    }

    // ----- Nobody tallied -----

    function test_discard_leavesTimeForTheTally() public {
        scoreAll();
        uint256 deadline = judged().deadline;
        _refusesEarly(deadline + 1);
        vm.warp(deadline);
        _refusesEarly(deadline + 1);
        vm.warp(deadline + 1);
        _discards(IFederation.VoidReason.NotTallied);
        vm.assertEq(federation.participant(validators[0]).missed, 0, "they revealed");
    }

    // ----- Nobody settled -----

    function test_discard_leavesTimeForTheSettlement() public {
        scoreAll();
        tally();
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], MODEL);
        uint256 last = uint256(judged().deadline) + 30 minutes;
        _refusesEarly(last + 1);
        vm.warp(last);
        _refusesEarly(last + 1);
        vm.warp(last + 1);
        _discards(IFederation.VoidReason.NoQuorum);
        vm.assertEq(federation.participant(validators[5]).missed, 0, "only reveals count");
        vm.assertEq(federation.participant(trainers[0]).trainerReputation, START);
    }

    function test_discard_keepsAVersionThatIsFinalUnpaid() public {
        fund(1 ether);
        jump(60);
        scoreAll();
        tally();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], MODEL);
        attestAs(validators[4], keccak256("other"));
        vm.warp(uint256(judged().deadline) + 30 minutes + 1);
        vm.recordLogs();
        federation.discard(1);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(countOf(logs, IFederation.WindowVoided.selector), 0);
        vm.assertEq(countOf(logs, IFederation.Slashed.selector), 0);
        vm.assertEq(federation.modelDigest(1), MODEL);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Final));
        vm.assertEq(federation.head().credits, 0);
        vm.assertEq(federation.head().pool, 1 ether);
        vm.assertEq(federation.head().lastFinalSealedAt, federation.window(1).sealedAt);
        vm.assertEq(federation.participant(trainers[0]).trainerReputation, START);
    }

    // ----- Which -----

    function test_discard_refusesAnotherWindow() public {
        bytes4 refusal = IFederation.NotJudgedNow.selector;
        bytes memory call = abi.encodeCall(IFederation.discard, (2));
        refuses(address(this), call, abi.encodeWithSelector(refusal, 2, 1));
        judge();
        refuses(address(this), _call, abi.encodeWithSelector(refusal, 1, 0));
    }

    /// The largest of everything: 32 validators of whom none reveals, 16 updates, seven windows wait.
    function test_discard_isBounded() public {
        IFederation.Parameters memory p = usual();
        p.windowSize = 16;
        deploy(p);
        joinTrainers(17 * 8);
        joinValidators(32);
        for (uint256 w = 0; w < 8; ++w) fillWindowFrom(16 * w);
        commitAll();
        jump(1 hours);
        uint256 before = gasleft();
        federation.discard(1);
        vm.assertLt(before - gasleft(), 16_000_000);
        for (uint256 i = 0; i < 32; ++i)
            vm.assertEq(federation.participant(validators[i]).missed, 1);
        vm.assertEq(federation.head().judgingWindow, 9, "all are short of stake: nobody can judge");
    }
}
