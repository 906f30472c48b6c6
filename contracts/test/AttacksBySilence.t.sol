// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Attacks} from "./Attacks.sol";

/// @title What can be done by doing nothing, or too early
contract SilenceAttacksTest is Attacks {
    function setUp() public {
        deployRunning(usual(), 5);
    }

    function test_nobodySeals_soAnybodyMay() public {
        for (uint256 i = 0; i < 3; ++i) submitAs(trainers[i]);
        vm.warp(judged().deadline + 1);
        callAs(STRANGER, abi.encodeCall(IFederation.seal, ()));
        vm.assertTrue(judged().phase == IFederation.Phase.Commit);
    }

    function test_nobodyCommits_soAnybodyEndsItAtOnce() public {
        fillWindow();
        passDeadline();
        callAs(STRANGER, abi.encodeCall(IFederation.discard, (1)));
        vm.assertEq(judging(), 2);
        for (uint256 i = 0; i < 5; ++i) vm.assertEq(who(validators[i]).stake, STAKE);
    }

    function test_nobodyReveals_andAllWhoCommittedPay() public {
        fillWindow();
        commitAll();
        passDeadline();
        callAs(STRANGER, abi.encodeCall(IFederation.discard, (1)));
        for (uint256 i = 0; i < 5; ++i) vm.assertEq(who(validators[i]).stake, STAKE - SLASH);
        vm.assertEq(federation.head().slashed, 5 * SLASH);
        vm.assertEq(who(trainers[0]).trainerReputation, START, "no fault of theirs");
    }

    function test_nobodyTallies_soAnybodyEndsItLater() public {
        fillWindow();
        scoreAll();
        uint256 last = judged().deadline;
        vm.warp(last);
        refuses(
            STRANGER,
            abi.encodeCall(IFederation.discard, (1)),
            abi.encodeWithSelector(IFederation.TooEarly.selector, last + 1)
        );
        jump(1);
        refuses(
            STRANGER,
            abi.encodeCall(IFederation.tally, (1, authorsOf(1), revealers())),
            abi.encodeWithSelector(IFederation.TooLate.selector, last)
        );
        callAs(STRANGER, abi.encodeCall(IFederation.discard, (1)));
        vm.assertEq(judging(), 2);
    }

    function test_nobodyAttests_andNothingIsLostButTheWindow() public {
        fillWindow();
        scoreAll();
        tally();
        passDeadline();
        callAs(STRANGER, abi.encodeCall(IFederation.settle, (1)));
        vm.assertEq(federation.head().version, 0);
        vm.assertGt(who(trainers[0]).trainerReputation, START, "its verdicts count");
        vm.assertEq(who(validators[0]).missed, 1);
        vm.assertEq(who(validators[0]).stake, STAKE);
    }

    /// @notice Who could gain by it? A window's rewards are lost if nobody, in a whole period, calls `settle`.
    function test_nobodySettles_andTheVersionStaysUnpaid() public {
        fund(100 ether);
        fillWindow();
        scoreAll();
        tally();
        bytes32 digest = nextModel();
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], digest);
        uint256 last = uint256(judged().deadline) + 30 minutes;
        vm.warp(last);
        refuses(
            STRANGER,
            abi.encodeCall(IFederation.discard, (1)),
            abi.encodeWithSelector(IFederation.TooEarly.selector, last + 1)
        );
        jump(1);
        callAs(STRANGER, abi.encodeCall(IFederation.discard, (1)));
        vm.assertEq(federation.modelDigest(1), digest);
        vm.assertEq(federation.head().credits, 0);
        vm.assertEq(federation.head().pool, 100 ether);
    }

    function test_anEarlyEnd_isRefusedInEveryPhase() public {
        bytes memory discard = abi.encodeCall(IFederation.discard, (1));
        bytes memory settling = abi.encodeCall(IFederation.settle, (1));
        IFederation.Phase tallying = IFederation.Phase.Tally;
        bytes4 wrong = IFederation.WrongPhase.selector;
        refuses(STRANGER, discard, abi.encodeWithSelector(IFederation.NotJudgedNow.selector, 1, 0));
        fillWindow();
        IFederation.Phase now_ = IFederation.Phase.Commit;
        refuses(STRANGER, discard, abi.encodeWithSelector(wrong, 1, now_, tallying));
        commitAll();
        now_ = IFederation.Phase.Reveal;
        refuses(STRANGER, discard, abi.encodeWithSelector(wrong, 1, now_, tallying));
        revealAll();
        bytes4 early = IFederation.TooEarly.selector;
        refuses(STRANGER, discard, abi.encodeWithSelector(early, uint256(judged().deadline) + 1));
        refuses(
            STRANGER,
            settling,
            abi.encodeWithSelector(wrong, 1, tallying, IFederation.Phase.Attest)
        );
        tally();
        uint256 deadline = judged().deadline;
        refuses(STRANGER, settling, abi.encodeWithSelector(early, deadline + 1));
        refuses(STRANGER, discard, abi.encodeWithSelector(early, deadline + 30 minutes + 1));
        attestAll(nextModel());
        refuses(STRANGER, discard, abi.encodeWithSelector(IFederation.NotJudgedNow.selector, 1, 0));
    }

    function test_falseAuthors_cannotTakeAnothersVerdict() public {
        fillWindow();
        scoreAll();
        address[] memory authors = authorsOf(1);
        (authors[2], authors[3]) = (authors[3], authors[2]);
        bytes4 selector = IFederation.InvalidAuthors.selector;
        refuses(
            trainers[3],
            abi.encodeCall(IFederation.tally, (1, authors, revealers())),
            abi.encodeWithSelector(selector, 2, authors[2])
        );
        authors[2] = authors[0];
        refuses(
            trainers[3],
            abi.encodeCall(IFederation.tally, (1, authors, revealers())),
            abi.encodeWithSelector(selector, 2, authors[0])
        );
        address[] memory few = new address[](3);
        refuses(
            trainers[3],
            abi.encodeCall(IFederation.tally, (1, few, revealers())),
            abi.encodeWithSelector(selector, 3, address(0))
        );
    }

    function test_aMajorityThatVanishes_isMissedForTwoWindows() public {
        joinValidators(5); // ten
        for (uint256 window = 1; window <= 2; ++window) {
            fillWindow();
            scoreFrom(0, 4);
            callAs(STRANGER, abi.encodeCall(IFederation.discard, (judging())));
            vm.assertEq(federation.head().version, 0);
        }
        runWindow();
        vm.assertEq(federation.head().version, 1, "those who are left go on");
        vm.assertTrue(who(validators[9]).asleep);
        callAs(validators[9], abi.encodeCall(IFederation.wake, ()));
        fillWindow();
        vm.assertTrue(isActive(validators[9], judged().active), "and who comes back judges again");
    }

    function test_allWhoVanished_loseWindowsButNoMoney() public {
        for (uint256 window = 1; window <= 3; ++window) {
            fillWindow();
            vm.assertEq(judged().active, 31, "too few are awake: all are asked");
            passDeadline();
            callAs(STRANGER, abi.encodeCall(IFederation.discard, (judging())));
        }
        vm.assertTrue(who(validators[0]).asleep);
        vm.assertEq(who(validators[0]).missed, 2);
        runWindow();
        vm.assertEq(federation.head().version, 1);
        vm.assertEq(federation.head().slashed, 0);
        vm.assertFalse(who(validators[0]).asleep, "who judges is awake");
    }

    /// @notice Where all are needed, one that stays away makes phases long, and stops nobody.
    function test_oneThatVanishes_stopsNobody() public {
        deployRunning(usual(), 4); // as many as minValidators
        for (uint32 window = 1; window <= 12; ++window) {
            fillWindow();
            scoreFrom(0, 3);
            tally();
            for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], nextModel());
            settle();
            vm.assertEq(federation.head().version, window);
        }
        vm.assertTrue(who(validators[3]).asleep);
        vm.assertLt(who(validators[3]).validatorReputation, 150_000, "and costs it its weight");
    }

    /// @notice Liars whose jail would leave too few validators judge on, without pay or weight to speak of.
    function test_jail_neverLeavesTooFewValidators() public {
        int16[] memory lies = list(100, 200, 300, 400);
        for (uint256 window = 0; window < 40; ++window) {
            fillWindow();
            willScore(validators[3], lies);
            willScore(validators[4], lies);
            judge();
            uint256 judges;
            for (uint256 i = 0; i < 5; ++i) {
                if (who(validators[i]).validatorJailedUntil == 0) ++judges;
            }
            vm.assertGe(judges, 4, "at least minValidators");
        }
        vm.assertEq(federation.head().version, 40, "and no window was lost");
        uint256 lowest = who(validators[3]).validatorReputation;
        uint256 other = who(validators[4]).validatorReputation;
        vm.assertLt(lowest < other ? lowest : other, 150_000, "one of the two could not be jailed");
    }

    /// @dev A window in whose blocks the clock is `skew` ahead of what has passed: what it decided, and what it paid.
    function _decide(uint256 skew) private returns (bytes32 decided, uint256 paid) {
        uint256 before = vm.snapshotState();
        jump(1 hours + skew);
        fillWindow();
        jump(skew);
        commitAll();
        jump(skew);
        revealAll();
        jump(skew);
        tally();
        jump(skew);
        attestAll(bytes32("model"));
        IFederation.Update[4] memory updates;
        for (uint256 i = 0; i < 4; ++i) updates[i] = federation.update(16 + i);
        decided = keccak256(abi.encode(updates, federation.modelDigest(1)));
        paid = federation.head().credits;
        vm.revertToState(before);
    }

    /// @notice Who makes blocks can shift their time by seconds: periods are of minutes.
    function test_aClockThatIsSecondsAhead_decidesNothing() public {
        fund(1_000 ether);
        (bytes32 decided, uint256 paid) = _decide(0);
        (bytes32 skewed, uint256 more) = _decide(15);
        vm.assertEq(skewed, decided);
        vm.assertGt(paid, 0);
        vm.assertGe(more, paid);
        vm.assertLe(more - paid, 15 * 0.001 ether, "the rate times the skew");
    }
}
