// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation, IFederationLens} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract LensTest is Setup {
    IFederationLens private _lens;
    address private _both = address(0xB07);
    mapping(string duty => bool) private _wasOffered;

    function setUp() public {
        lens = create("FederationLens.sol:FederationLens", "");
        _lens = IFederationLens(lens);
        IFederation.Parameters memory p = usual();
        p.windowSize = 2;
        p.minUpdates = 2;
        p.unbondingPeriod = 1 days;
        deploy(p);
        joinTrainers(5);
        joinValidators(5);
        joinAs(_both, TRAINER | VALIDATOR, STAKE);
        validators.push(_both);
        fund(1 ether);
    }

    // ----- Hands -----

    function _duties(address who) private view returns (IFederationLens.Duties memory) {
        return _lens.duties(federation, who);
    }

    /// @dev What a call would do now: nothing of it remains. 0 where it would be taken.
    function _try(address who, bytes memory call) private returns (bytes4 refusal) {
        uint256 snapshot = vm.snapshotState();
        vm.prank(who);
        (bool done, bytes memory answer) = address(federation).call(call);
        refusal = done ? bytes4(0) : bytes4(answer);
        vm.revertToState(snapshot);
    }

    function _agree(bool said, address who, bytes memory call, string memory what) private {
        vm.assertEq(said, _try(who, call) == 0, what);
        if (said) _wasOffered[what] = true;
    }

    /// @dev Every answer about an account against a try.
    function _checkDuties(address who) private {
        IFederationLens.Duties memory d = _duties(who);
        IFederation.Head memory h = federation.head();
        bytes memory submit = abi.encodeCall(
            IFederation.submitUpdate,
            (h.version, keccak256("tried"), RAW, 0, 1)
        );
        bytes4 refusal = _try(who, submit);
        vm.assertEq(d.submitRefusal, refusal, "submitRefusal");
        _agree(d.canSubmit, who, submit, "canSubmit");
        _agree(d.canSeal, who, abi.encodeCall(IFederation.seal, ()), "canSeal");
        _agree(d.canWake, who, abi.encodeCall(IFederation.wake, ()), "canWake");
        _agree(d.canTakeSeat, who, abi.encodeCall(IFederation.takeSeat, ()), "canTakeSeat");
        _agree(d.canWithdraw, who, abi.encodeCall(IFederation.withdraw, ()), "canWithdraw");
        _agree(d.claimable != 0, who, abi.encodeCall(IFederation.claim, ()), "claimable");

        IFederation.Window memory w = judged();
        bytes memory scores = scoresOf(who, w.updates);
        uint8 keep = keepOf(who, w.updates);
        bytes32 salt = saltOf(who, w.id);
        _agree(
            d.canCommit,
            who,
            abi.encodeCall(IFederation.commitScores, (w.id, bytes32(0), w.tag)),
            "canCommit"
        );
        _agree(
            d.canReveal,
            who,
            abi.encodeCall(IFederation.revealScores, (w.id, w.tag, keep, scores, salt)),
            "canReveal"
        );
        bytes32 commitment = commitmentTo(who, w.id, w.tag, scores, keep, salt);
        bytes[] memory both = new bytes[](2);
        both[0] = abi.encodeCall(IFederation.commitScores, (w.id, commitment, w.tag));
        both[1] = abi.encodeCall(IFederation.revealScores, (w.id, w.tag, keep, scores, salt));
        _agree(
            d.commitsLast,
            who,
            abi.encodeWithSignature("multicall(bytes[])", both),
            "commitsLast"
        );
        both[0] = abi.encodeCall(IFederation.revealScores, (w.id, w.tag, keep, scores, salt));
        uint32 revealed =
            w.revealed |
                (
                    federation.participant(who).seat < 32
                        ? uint32(1 << federation.participant(who).seat)
                        : 0
                );
        both[1] = abi.encodeCall(
            IFederation.tally,
            (w.id, authorsOf(w.id), seated(federation, revealed))
        );
        _agree(
            d.revealsLast,
            who,
            abi.encodeWithSignature("multicall(bytes[])", both),
            "revealsLast"
        );
        _agree(
            d.canTally,
            who,
            abi.encodeCall(IFederation.tally, (w.id, authorsOf(w.id), revealers())),
            "canTally"
        );
        _agree(
            d.canAttest,
            who,
            abi.encodeCall(IFederation.attestModel, (w.id, w.tag, keccak256("m"), 0)),
            "canAttest"
        );
        _agree(d.canSettle, who, abi.encodeCall(IFederation.settle, (w.id)), "canSettle");
        _agree(d.canDiscard, who, abi.encodeCall(IFederation.discard, (w.id)), "canDiscard");
        bool isJudging = w.tag != 0;
        vm.assertEq(d.actBy, isJudging ? w.deadline : 0, "actBy");
    }

    function _attempt(address who, bytes memory call) private {
        vm.prank(who);
        (bool done, ) = address(federation).call(call);
        done; // refused is fine: these are steps of a walk
    }

    /// @dev One step of somebody, possible or not.
    function _step(uint256 seed) private {
        IFederation.Window memory w = judged();
        address trainer = seed % 11 == 0 ? _both : trainers[seed % 5];
        address validator = validators[(seed >> 8) % 6];
        uint256 deed = (seed >> 16) % 16;
        if (deed < 4) {
            uint32 base = federation.head().version;
            if (_duties(trainer).canSubmit) submitAs(trainer, base, newDigest(), RAW, 1);
        } else if (deed < 10 && w.tag != 0) {
            _bringAlong(w, validator);
        } else if (deed == 10) {
            if (_duties(validator).canCommit) commitAs(validator);
            else if (_duties(validator).canReveal) revealAs(validator);
            else if (_duties(validator).canAttest) attestAs(validator, nextModel());
        } else if (deed == 11) {
            jump((seed >> 32) % 600);
        } else if (deed == 12 && w.deadline >= time()) {
            vm.warp(uint256(w.deadline) + ((seed >> 32) % 2));
        } else if (deed == 13) {
            _attempt(address(this), abi.encodeCall(IFederation.settle, (w.id)));
            _attempt(address(this), abi.encodeCall(IFederation.discard, (w.id)));
        } else if (deed == 14) {
            _attempt(address(this), abi.encodeCall(IFederation.seal, ()));
        } else if (deed == 15) {
            for (uint256 i = 0; i < 6; ++i) {
                _attempt(validators[i], abi.encodeCall(IFederation.wake, ()));
            }
            address leaver = (seed >> 48) % 2 == 0 ? trainer : validator;
            if ((seed >> 40) % 8 == 0)
                _attempt(leaver, abi.encodeCall(IFederation.requestExit, ()));
        }
    }

    /// @dev All that can, do what the window waits for: most of them, where that is not all.
    function _bringAlong(IFederation.Window memory w, address validator) private {
        if (w.phase == IFederation.Phase.Commit) _commitMost(w);
        else if (w.phase == IFederation.Phase.Reveal) _revealAll();
        else if (_duties(validator).canTally) tally();
        else if (w.phase == IFederation.Phase.Attest) _attestMost();
    }

    function _commitMost(IFederation.Window memory w) private {
        for (uint256 i = 0; i < 6; ++i) {
            address who = validators[i];
            if (!_duties(who).canCommit || (w.id % 2 == 1 && i == 5)) continue;
            if (_duties(who).commitsLast) _checkDuties(who);
            commitAs(who);
        }
    }

    function _revealAll() private {
        for (uint256 i = 0; i < 6; ++i) {
            if (!_duties(validators[i]).canReveal) continue;
            if (_duties(validators[i]).revealsLast) _checkDuties(validators[i]);
            revealAs(validators[i]);
        }
    }

    function _attestMost() private {
        bytes32 digest = nextModel();
        for (uint256 i = 0; i < 5; ++i) {
            if (_duties(validators[i]).canAttest) attestAs(validators[i], digest);
        }
    }

    // ----- Duties -----

    /// hardhat-config: fuzz.runs = 64
    function testFuzz_duties_sayWhatTheContractWouldTake(uint256[24] memory seeds) public {
        for (uint256 k = 0; k < 24; ++k) {
            _step(uint256(keccak256(abi.encode(seeds[k], k))));
            _checkDuties(trainers[k % 5]);
            _checkDuties(validators[k % 6]);
        }
        _checkDuties(address(this));
    }

    /// So that the walk above does not agree on nothing.
    function test_duties_offerEverythingOnceOnALongWalk() public {
        for (uint256 k = 0; k < 250; ++k) {
            _step(uint256(keccak256(abi.encode(k))));
            _checkDuties(trainers[k % 5]);
            _checkDuties(validators[k % 6]);
        }
        _attempt(trainers[0], abi.encodeCall(IFederation.requestExit, ()));
        jump(1 days + 1);
        _attempt(owner, abi.encodeCall(IFederation.seal, ()));
        for (uint256 k = 0; k < 9; ++k) {
            _checkDuties(trainers[0]);
            uint32 judging = federation.head().judgingWindow;
            _attempt(owner, abi.encodeCall(IFederation.discard, (judging)));
            jump(2 hours);
        }
        string[13] memory all = [
            "canSeal",
            "canCommit",
            "commitsLast",
            "canReveal",
            "revealsLast",
            "canTally",
            "canAttest",
            "canSettle",
            "canDiscard",
            "canWake",
            "canWithdraw",
            "claimable",
            "canSubmit"
        ];
        for (uint256 i = 0; i < all.length; ++i) vm.assertTrue(_wasOffered[all[i]], all[i]);
    }

    function test_duties_offerNoWakingToWhoHasLeft() public {
        for (uint256 k = 0; k < 2; ++k) {
            fillWindow();
            passDeadline();
            federation.discard(federation.head().judgingWindow);
        }
        vm.assertTrue(_duties(validators[0]).canWake);
        vm.prank(validators[0]);
        federation.requestExit();
        jump(1 days + 1);
        _checkDuties(validators[0]);
        vm.prank(validators[0]);
        federation.withdraw();
        _checkDuties(validators[0]);
    }

    function test_duties_knowClosedAndPaused() public {
        vm.prank(owner);
        federation.pause();
        _checkDuties(trainers[0]);
        vm.assertEq(_duties(trainers[0]).submitRefusal, IFederation.IsPaused.selector);
        vm.prank(owner);
        federation.close();
        _checkDuties(trainers[0]);
        vm.assertEq(_duties(trainers[0]).submitRefusal, IFederation.IsClosed.selector);
    }

    /// A trainer whose stake was slashed, then one that was jailed.
    function test_duties_knowTheShortAndTheJailed() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(4);
        for (uint256 k = 0; k < 3; ++k) {
            allWillScore(k == 2 ? MALFORMED : int16(-2000));
            submitAs(trainers[0]);
            scoreAll();
            tally();
        }
        vm.assertEq(_duties(trainers[0]).submitRefusal, IFederation.JailedUntil.selector);
        _checkDuties(trainers[0]);
        jump(1 days);
        _checkDuties(trainers[0]);
        jump(1);
        vm.assertEq(_duties(trainers[0]).submitRefusal, IFederation.StakeBelowMinimum.selector);
        _checkDuties(trainers[0]);
    }

    function test_duties_knowTheFullQueue() public {
        deploy(tiny());
        joinTrainers(10);
        joinValidators(4);
        for (uint256 i = 0; i < 8; ++i) submitAs(trainers[i]);
        vm.assertEq(_duties(trainers[8]).submitRefusal, IFederation.QueueFull.selector);
        _checkDuties(trainers[8]);
        _checkDuties(trainers[0]);
        _checkDuties(validators[0]);
    }

    /// With all seats taken: too cheap, dear enough, behind a challenger, beside one who leaves.
    function test_duties_knowWhatASeatCosts() public {
        deploy(tiny());
        joinTrainers(3);
        joinValidators(32);
        address cheap = address(0xC1);
        address dear = address(0xC2);
        joinAs(cheap, VALIDATOR, STAKE);
        joinAs(dear, VALIDATOR, STAKE + STAKE / 10);
        vm.assertTrue(_duties(dear).canTakeSeat);
        vm.assertFalse(_duties(cheap).canTakeSeat);
        _checkDuties(dear);
        _checkDuties(cheap);
    }

    // ----- The rest -----

    function test_duties_knowAFreeSeat() public {
        deploy(tiny());
        joinTrainers(3);
        joinValidators(32);
        address waiting = address(0xC1);
        joinAs(waiting, VALIDATOR, STAKE);
        vm.assertFalse(_duties(waiting).canTakeSeat);
        vm.prank(validators[5]);
        federation.requestExit();
        jump(federation.parameters().unbondingPeriod + 1);
        vm.prank(validators[5]);
        federation.withdraw();
        vm.assertTrue(_duties(waiting).canTakeSeat);
        _checkDuties(waiting);
    }

    function test_duties_knowTwoUnjudged() public {
        deploy(tiny());
        joinTrainers(4);
        joinValidators(4);
        for (uint256 i = 0; i < 3; ++i) submitAs(trainers[i]);
        judge();
        submitAs(trainers[2]);
        scoreAll();
        tally();
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], bytes32("second"));
        vm.assertEq(federation.head().version, 2);
        bytes4 refusal = IFederation.TooManyPending.selector;
        vm.assertEq(_duties(trainers[2]).submitRefusal, refusal);
        _checkDuties(trainers[2]);
    }

    function test_overview_isWhatTheFederationSays() public {
        fillWindow();
        submitAs(trainers[2]);
        commitAs(validators[1]);
        IFederationLens.Overview memory o = _lens.overview(federation, validators[1]);
        vm.assertEq(o.blockNumber, vm.getBlockNumber());
        vm.assertEq(o.blockTime, time());
        vm.assertEq(abi.encode(o.head), abi.encode(federation.head()));
        vm.assertEq(o.modelDigest, usualGenesis().model);
        vm.assertEq(abi.encode(o.judging), abi.encode(federation.window(1)));
        vm.assertEq(abi.encode(o.open), abi.encode(federation.window(2)));
        vm.assertEq(abi.encode(o.participant), abi.encode(federation.participant(validators[1])));
        vm.assertEq(abi.encode(o.duties), abi.encode(_duties(validators[1])));
        vm.assertEq(o.commitment, federation.commitmentOf(1));
        vm.assertNotEq(o.commitment, 0);
        vm.assertEq(_lens.overview(federation, trainers[0]).commitment, 0);
        for (uint256 i = 0; i < 6; ++i) if (i != 1) commitAs(validators[i]);
        revealAll();
        tally();
        attestAll(nextModel());
        vm.assertEq(_lens.overview(federation, owner).modelDigest, federation.modelDigest(1));
    }

    function test_validators_areThoseWithASeat() public {
        (address[] memory accounts, , uint32 active) = _lens.validators(federation);
        vm.assertEq(accounts.length, 6);
        vm.assertEq(active, 0);
        vm.prank(validators[2]);
        federation.requestExit();
        fillWindow();
        IFederation.Participant[] memory people;
        (accounts, people, active) = _lens.validators(federation);
        vm.assertEq(accounts.length, 5);
        vm.assertEq(active, 63 - 4);
        for (uint256 i = 0; i < 5; ++i) {
            address who = validators[i < 2 ? i : i + 1];
            vm.assertEq(accounts[i], who);
            vm.assertEq(abi.encode(people[i]), abi.encode(federation.participant(who)));
        }
    }
}
