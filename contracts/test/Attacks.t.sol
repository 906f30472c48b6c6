// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Attacks} from "./Attacks.sol";
import {Glutton, Reenterer, Refuser} from "./Receivers.sol";

/// @title Coming, going, and filling the house
contract MembershipAttacksTest is Attacks {
    function test_leaving_doesNotEscapeASlash() public {
        deployRunning(usual(), 5);
        fillWindow();
        commitAll();
        address liar = validators[4];
        callAs(liar, abi.encodeCall(IFederation.requestExit, ()));
        for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
        jump(60 days); // everybody sleeps, for longer than the unbonding period
        refuses(
            liar,
            abi.encodeCall(IFederation.withdraw, ()),
            abi.encodeWithSelector(IFederation.StillUnjudged.selector, 1)
        );
        callAs(STRANGER, abi.encodeCall(IFederation.discard, (1)));
        callAs(liar, abi.encodeCall(IFederation.withdraw, ()));
        vm.assertEq(liar.balance, STAKE - SLASH);
        checkMoney();
    }

    function test_leaving_doesNotEscapeTheVerdictOnAMalformedUpdate() public {
        deployRunning(usual(), 5);
        submitAs(trainers[0]);
        callAs(trainers[0], abi.encodeCall(IFederation.requestExit, ()));
        jump(7 days + 1);
        refuses(
            trainers[0],
            abi.encodeCall(IFederation.withdraw, ()),
            abi.encodeWithSelector(IFederation.StillUnjudged.selector, 1)
        );
        fillWindowFrom(1);
        allWillScore(list(MALFORMED, 300, 200));
        judge();
        vm.assertTrue(federation.update(16).verdict == IFederation.Verdict.Malformed);
        callAs(trainers[0], abi.encodeCall(IFederation.withdraw, ()));
        vm.assertEq(trainers[0].balance, STAKE - SLASH);
    }

    function test_comingBack_washesNothingOff() public {
        deployRunning(usual(), 5);
        address cheat = trainers[0];
        for (uint256 i = 0; i < 2; ++i) {
            fillWindow();
            allWillScore(list(-5000, 300, 200, 100));
            judge();
        }
        callAs(cheat, abi.encodeCall(IFederation.requestExit, ()));
        jump(7 days + 1);
        callAs(cheat, abi.encodeCall(IFederation.withdraw, ()));
        joinAs(cheat, TRAINER, STAKE);
        vm.assertEq(who(cheat).trainerReputation, 192_000, "twice down by a fifth");
        vm.assertEq(who(cheat).rejections, 2);
        refuses(
            cheat,
            abi.encodeCall(IFederation.submitUpdate, (1, bytes32("u"), RAW, 0, 1)),
            abi.encodeWithSelector(IFederation.BaseNotNewer.selector, 1, 1)
        );
        fillWindow();
        judge();
        vm.assertGt(who(cheat).trainerJailedUntil, time(), "the third");
    }

    /// @notice Minimum stakes fill all windows, one update each a version: what it costs is locked, and one window's
    /// end lets an honest trainer in.
    function test_manyMinimumStakes_fillTheRingForAsLongAsItTakesToJudge() public {
        IFederation.Parameters memory p = tiny();
        deploy(p);
        joinValidators(4);
        joinTrainers(9);
        for (uint256 i = 0; i < 8; ++i) submitAs(trainers[i]);
        vm.assertEq(federation.head().openWindow - judging(), 8);
        bytes memory call = abi.encodeCall(
            IFederation.submitUpdate,
            (0, bytes32("honest"), RAW, 0, 1)
        );
        refuses(
            trainers[8],
            call,
            abi.encodeWithSelector(IFederation.QueueFull.selector, judged().deadline)
        );
        refuses(trainers[0], call, abi.encodeWithSelector(IFederation.BaseNotNewer.selector, 0, 0));
        passDeadline();
        callAs(STRANGER, abi.encodeCall(IFederation.discard, (1)));
        submitAs(trainers[8]);
        endAll();
        vm.assertEq(federation.head().stakes, 13 * STAKE);
    }

    function test_aFullRing_showsTheWindowBeingJudged() public {
        deploy(tiny());
        joinValidators(4);
        joinTrainers(9);
        for (uint256 i = 0; i < 8; ++i) submitAs(trainers[i]);
        vm.assertTrue(federation.window(1).phase == IFederation.Phase.Reveal);
        vm.assertTrue(federation.update(16).rootDigest != 0);
        judge();
        vm.assertEq(federation.head().version, 1);
    }

    function test_aSubmissionAfterTheDeadline_joinsAndDelaysNothing() public {
        deployRunning(usual(), 4);
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        jump(30 days);
        submitAs(trainers[2]); // the third: enough
        callAs(STRANGER, abi.encodeCall(IFederation.seal, ()));
        vm.assertEq(federation.window(1).updates, 3);
        vm.assertTrue(federation.window(1).phase == IFederation.Phase.Commit);
    }

    function test_manyWhoJoinAndLeave_cannotStopTheOpenWindow() public {
        deployRunning(usual(), 4);
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        submitAs(trainers[2]);
        vm.assertEq(federation.head().effectiveSize, 4);
        callAs(trainers[4], abi.encodeCall(IFederation.requestExit, ()));
        vm.assertEq(federation.head().effectiveSize, 3);
        callAs(STRANGER, abi.encodeCall(IFederation.seal, ()));
        vm.assertTrue(federation.window(1).phase == IFederation.Phase.Commit);
    }

    /// @notice What is taken out waits until no window can be judged with it any more.
    function test_stakeMovedDuringAWindow_votesOnce() public {
        deployRunning(usual(), 5);
        fillWindow();
        address mover = validators[0];
        uint256 weight = federation.weightOf(0);
        callAs(mover, abi.encodeCall(IFederation.requestExit, ()));
        refuses(
            mover,
            abi.encodeCall(IFederation.withdraw, ()),
            abi.encodeWithSelector(IFederation.StillBonded.selector, time() + 7 days)
        );
        address heir = joinValidator(STAKE); // with other money
        vm.assertEq(federation.weightOf(0), weight, "judges to the end of this window");
        vm.assertFalse(isActive(heir, judged().active), "and its heir from the next");
        judge();
        fillWindow();
        vm.assertFalse(isActive(mover, judged().active));
        vm.assertTrue(isActive(heir, judged().active));
    }

    /// @notice Weight is stake: thirty-one of the least cannot outvote one that is worth a hundred of them, nor keep it
    /// out.
    function test_dustOnAllSeats_isOutvotedByOneRealStake() public {
        deployRunning(usual(), 32);
        address honest = joinValidator(100 * uint256(STAKE));
        vm.assertEq(who(honest).seat, 255, "all seats are taken");
        callAs(honest, abi.encodeCall(IFederation.takeSeat, ()));
        vm.assertEq(who(honest).seat, 0, "the cheapest gave way");
        fillWindow();
        for (uint256 i = 1; i < 32; ++i) willScore(validators[i], same(MALFORMED, 4));
        scoreAll();
        tally();
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertTrue(federation.update(16 + i).verdict == IFederation.Verdict.Paid);
        }
        attestAs(honest, nextModel());
        vm.assertEq(federation.head().version, 1, "two thirds of the weight");
    }

    function test_oneValueForTwoPayments_isRefused() public {
        deployRunning(usual(), 4);
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IFederation.topUp, (1 ether));
        calls[1] = calls[0];
        bytes memory call = abi.encodeWithSignature("multicall(bytes[])", calls);
        refuses(trainers[0], 1 ether, call, "");
        refuses(
            trainers[0],
            call,
            abi.encodeWithSelector(IFederation.WrongAmount.selector, 0, 1 ether)
        );
    }
}

/// @title Invitations shown twice, or at another door
contract InvitationAttacksTest is Attacks {
    address private constant GUEST = address(0x6E57);
    uint256 private constant DEADLINE = 2_000_000_000;

    function setUp() public {
        IFederation.Parameters memory p = usual();
        p.open = false;
        deploy(p);
    }

    function _accept(bytes memory signature) private pure returns (bytes memory) {
        return
            abi.encodeCall(
                IFederation.joinByInvitation,
                (TRAINER, bytes32(0), STAKE, 7, DEADLINE, signature)
            );
    }

    /// @dev The owner's, for this federation on this chain in this epoch.
    function _signature() private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("BAFL Federation"),
                keccak256("1"),
                block.chainid,
                federation
            )
        );
        bytes32 content = keccak256(
            abi.encode(
                keccak256(
                    "Invitation(address participant,uint8 roles,uint256 nonce,uint256 deadline,uint64 epoch)"
                ),
                GUEST,
                TRAINER,
                7,
                DEADLINE,
                federation.invitationEpoch()
            )
        );
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", domain, content));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ownerKey, digest);
        return abi.encodePacked(r, s, v);
    }

    function _invalid() private view returns (bytes memory) {
        return abi.encodeWithSelector(IFederation.InvitationInvalid.selector, owner);
    }

    function test_anInvitation_isGoodOnce() public {
        vm.deal(GUEST, STAKE);
        bytes memory call = _accept(_signature());
        vm.prank(GUEST);
        (bool done, ) = address(federation).call{value: STAKE}(call);
        vm.assertTrue(done);
        bytes memory used = abi.encodeWithSelector(IFederation.InvitationUsed.selector, 7);
        refuses(GUEST, STAKE, call, used);
        callAs(GUEST, abi.encodeCall(IFederation.requestExit, ()));
        jump(7 days + 1);
        callAs(GUEST, abi.encodeCall(IFederation.withdraw, ()));
        refuses(GUEST, STAKE, call, used);
    }

    function test_anInvitation_isForOneGuestInOneHouseOnOneChainInOneEpoch() public {
        bytes memory signature = _signature();
        refuses(STRANGER, STAKE, _accept(signature), _invalid());
        vm.chainId(1);
        refuses(GUEST, STAKE, _accept(signature), _invalid());
        vm.chainId(31_337);
        address first = address(federation);
        IFederation.Parameters memory p = usual();
        p.open = false;
        deploy(p);
        refuses(GUEST, STAKE, _accept(signature), _invalid());
        federation = IFederation(first);
        callAs(owner, abi.encodeCall(IFederation.bumpInvitationEpoch, ()));
        refuses(GUEST, STAKE, _accept(signature), _invalid());
        vm.warp(DEADLINE + 1);
        refuses(
            GUEST,
            STAKE,
            _accept(_signature()),
            abi.encodeWithSelector(IFederation.InvitationExpired.selector, DEADLINE)
        );
    }
}

/// @title Receivers at their worst, and sums at their ends
contract MoneyAttacksTest is Attacks {
    bytes4 private constant REENTRY = bytes4(keccak256("ReentrancyGuardReentrantCall()"));

    function _checkPaidOnce(Reenterer receiver, uint256 amount, uint256 payments) private view {
        vm.assertEq(address(receiver).balance, amount);
        vm.assertEq(receiver.attempts(), 5 * payments, "it tried");
        vm.assertEq(receiver.successes(), 0, "in vain");
        vm.assertEq(receiver.refusal(), abi.encodeWithSelector(REENTRY));
        checkMoney();
    }

    function test_aReentrantReceiver_isPaidOnce() public {
        Reenterer greedy = new Reenterer();
        Reenterer greedyTreasury = new Reenterer();
        Reenterer greedySink = new Reenterer();
        IFederation.Parameters memory p = usual();
        (p.treasury, p.slashSink) = (address(greedyTreasury), address(greedySink));
        deployRunning(p, 4);
        joinAs(address(greedy), VALIDATOR, STAKE);
        validators.push(address(greedy));
        fund(100 ether);
        jump(1 hours);
        runWindow();
        fillWindow();
        commitAll(); // nobody reveals: all are slashed
        endAll();

        uint256 credit = who(address(greedy)).credit;
        vm.assertGt(credit, 0);
        callAs(address(greedy), abi.encodeCall(IFederation.claim, ()));
        _checkPaidOnce(greedy, credit, 1);
        callAs(address(greedy), abi.encodeCall(IFederation.requestExit, ()));
        jump(7 days + 1);
        callAs(address(greedy), abi.encodeCall(IFederation.withdraw, ()));
        _checkPaidOnce(greedy, credit + STAKE - SLASH, 2);
        callAs(STRANGER, abi.encodeCall(IFederation.sweepSlashed, ()));
        _checkPaidOnce(greedySink, 5 * SLASH, 1);
        callAs(owner, abi.encodeCall(IFederation.close, ()));
        uint256 pool = federation.head().pool;
        callAs(STRANGER, abi.encodeCall(IFederation.sweepPool, ()));
        _checkPaidOnce(greedyTreasury, pool, 1);
    }

    function test_aReceiverThatRefuses_harmsNobodyElse() public {
        deployRunning(usual(), 4);
        address refuser = address(new Refuser());
        joinAs(refuser, VALIDATOR, STAKE);
        validators.push(refuser);
        fund(100 ether);
        jump(1 hours);
        runWindow();
        uint256 credit = who(refuser).credit;
        vm.assertGt(credit, 0);
        bytes4 failed = IFederation.TransferFailed.selector;
        refuses(
            refuser,
            abi.encodeCall(IFederation.claim, ()),
            abi.encodeWithSelector(failed, refuser, credit)
        );
        callAs(refuser, abi.encodeCall(IFederation.requestExit, ()));
        jump(7 days + 1);
        refuses(
            refuser,
            abi.encodeCall(IFederation.withdraw, ()),
            abi.encodeWithSelector(failed, refuser, STAKE)
        );
        callAs(validators[0], abi.encodeCall(IFederation.claim, ()));
        runWindow();
        vm.assertEq(federation.head().version, 2);
        vm.assertEq(who(refuser).stake, STAKE, "still its own");
        checkMoney();
    }

    function test_aReceiverThatEatsAllGas_harmsNobodyElse() public {
        Glutton glutton = new Glutton();
        IFederation.Parameters memory p = usual();
        p.slashSink = address(glutton);
        deployRunning(p, 4);
        joinAs(address(glutton), VALIDATOR, STAKE);
        validators.push(address(glutton));
        fund(100 ether);
        jump(1 hours);
        runWindow();
        fillWindow();
        commitAll();
        for (uint256 i = 1; i < 5; ++i) revealAs(validators[i]);
        passDeadline(); // the first is slashed: there is something to sweep
        tally();
        attestAll(nextModel());
        uint256 credit = who(address(glutton)).credit;
        vm.assertGt(credit, 0);
        bytes4 failed = IFederation.TransferFailed.selector;
        uint256 slashed = federation.head().slashed;
        vm.prank(address(glutton));
        (bool isPaid, bytes memory answer) = address(federation).call{gas: 3_000_000}(
            abi.encodeCall(IFederation.claim, ())
        );
        vm.assertFalse(isPaid);
        vm.assertEq(answer, abi.encodeWithSelector(failed, address(glutton), credit));
        vm.prank(STRANGER);
        (isPaid, answer) = address(federation).call{gas: 3_000_000}(
            abi.encodeCall(IFederation.sweepSlashed, ())
        );
        vm.assertFalse(isPaid);
        vm.assertEq(answer, abi.encodeWithSelector(failed, address(glutton), slashed));
        callAs(validators[0], abi.encodeCall(IFederation.claim, ()));
        runWindow();
        vm.assertEq(federation.head().version, 3);
        checkMoney();
    }

    function test_moneyForcedIn_isNobodys() public {
        deployRunning(usual(), 4);
        fund(1 ether);
        bytes32 before = keccak256(abi.encode(federation.head()));
        vm.deal(address(federation), address(federation).balance + 5 ether);
        vm.assertEq(keccak256(abi.encode(federation.head())), before);
        runWindow();
        IFederation.Head memory h = federation.head();
        vm.assertEq(
            address(federation).balance,
            uint256(h.stakes) + h.pool + h.credits + h.slashed + 5 ether
        );
    }

    function test_plainMoney_isRefused() public {
        deployRunning(usual(), 4);
        refuses(STRANGER, 1 ether, "", "");
    }

    function _alone(uint96 minStake) private {
        IFederation.Parameters memory p = tiny();
        p.minValidators = 1;
        p.minStake = minStake;
        p.rewardRate = 2 ** 88;
        deploy(p);
        joinTrainers(1);
        joinValidators(1);
        allWillScore(int16(100));
    }

    function test_oneOfEach_makesVersionsWithReputationsAtTheirEnds() public {
        _alone(STAKE);
        fund(1 ether);
        for (uint256 i = 0; i < 250; ++i) {
            jump(1 minutes);
            runWindow();
        }
        vm.assertEq(federation.head().version, 250);
        uint256 reputation = who(trainers[0]).trainerReputation;
        vm.assertLe(reputation, 1e6);
        vm.assertGt(reputation, 999_970, "five hundredths of what is missing, rounded down");
        checkMoney();
        for (uint256 i = 0; i < 100; ++i) {
            fillWindow();
            passDeadline();
            federation.discard(judging());
            if (who(validators[0]).asleep) {
                callAs(validators[0], abi.encodeCall(IFederation.wake, ()));
            }
        }
        reputation = who(validators[0]).validatorReputation;
        vm.assertLt(reputation, 15, "rounds to a standstill");
        vm.assertEq(who(validators[0]).validatorJailedUntil, 0, "the last one is not jailed");
        runWindow();
        vm.assertEq(federation.head().version, 251);
    }

    /// @notice The rarest trainer on the largest stake, and the smallest unit of money.
    function test_extremesOfMoney_areCountedToTheUnit() public {
        uint96[2] memory minima = [uint96(1e6), uint96(2 ** 88)];
        for (uint256 i = 0; i < 2; ++i) {
            _alone(minima[i]);
            joinValidator(type(uint96).max);
            allWillScore(int16(9_990));
            uint256 pool = type(uint104).max;
            fund(pool);
            jump(365 days);
            runWindow();
            IFederation.Head memory h = federation.head();
            vm.assertEq(h.version, 1);
            vm.assertEq(uint256(h.pool) + h.credits, pool);
            checkMoney();
            refuses(
                owner,
                pool,
                abi.encodeCall(IFederation.fund, (pool)),
                abi.encodeWithSelector(
                    IFederation.AmountTooLarge.selector,
                    2 * pool,
                    type(uint104).max
                )
            );
        }
    }
}
