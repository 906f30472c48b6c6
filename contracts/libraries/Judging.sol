// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";

import {IFederation} from "../IFederation.sol";
import {Ledger} from "./Ledger.sol";
import {Reputation} from "./Reputation.sol";
import {Scores} from "./Scores.sol";
import {Tally} from "./Tally.sol";
import {Words} from "./Words.sol";

/// @title Who takes part, and how windows are judged: membership, seats, turn, tally, settlement
/// @notice The second half of `Federation.sol`, linked, since one contract may not have all the code: it works on the
/// federation's own state, and its events are the federation's. `IFederation.sol` specifies what it does.
/// @dev A result is a lane of 64 bits: the author's id (24), its share (24), the verdict (8), the window's keep (8).
library Judging {
    using DynamicArrayLib for uint256[];
    using Ledger for Ledger.State;

    uint256 private constant MANY_REJECTIONS = 3; // of eight
    uint256 private constant TRAINERS_PERCENT = 70; // of a reward
    uint256 private constant VALIDATORS_PERCENT = 30;

    // How an agreement lies in its lane of 32 bits: plus a bias, so that no lane of a seat that revealed is zero.
    int256 private constant BIAS = 2e6;
    uint256 private constant NO_AGREEMENT = 1;
    uint256 private constant OVERRULED = 2;

    /// @notice What of a federation's parameters judging depends on.
    struct Rules {
        uint256 minValidators;
        uint256 commitPeriod;
        uint256 revealPeriod;
        uint256 attestPeriod;
        uint256 jailPeriod;
        uint256 minStake;
        uint256 slash; // money
        uint256 rewardRate;
        uint256 creditUnit;
        int256 rejectBelow;
        bool trustSamples;
    }

    /// @dev What a window's end brings to those who had a part in it.
    struct Settlement {
        bool isTallied; // and the tally counts
        bool isFinal;
        uint256 attestersDue; // seats that should have attested
        uint256 attestersWrong; // seats that attested another digest than more than half of the weight
        uint256 reward; // money that may be given
        uint256 credited; // units given
        uint256 slashed; // seats
        uint256[] trainers; // money
        uint256[] trainerReputations;
        uint256[] validators; // money
        uint256[] validatorReputations;
    }

    // ----------------------------------------------------------------------------------------------- membership

    /// @notice The caller becomes a participant; its money is taken.
    /// @return How many trainers there are now.
    function join(
        Ledger.State storage s,
        uint256 roles,
        bytes32 profile,
        uint256 stake,
        uint256 minStake
    ) external returns (uint256) {
        if (s.loadNow().flags & Ledger.CLOSED != 0) revert IFederation.IsClosed();
        if (roles == 0 || roles > Ledger.TRAINER + Ledger.VALIDATOR)
            revert IFederation.InvalidRoles(uint8(roles));
        Words.Account memory account = s.loadAccount(msg.sender);
        if (account.roles != 0) revert IFederation.AlreadyParticipant(msg.sender);
        Words.Membership memory membership = s.loadMembership();
        if (account.id == 0) {
            if (membership.participants == type(uint24).max)
                revert IFederation.TooManyParticipants(type(uint24).max);
            account.id = ++membership.participants;
            account.reputation = Reputation.START;
            s.participants[account.id] = msg.sender;
            s.store(account.id, Words.Merit(0, Reputation.START, 0));
        }
        account.roles = roles;
        account.missed = 0;
        _addStake(s, account, stake, minStake);
        s.store(msg.sender, account);
        s.profiles[msg.sender] = profile;

        Words.Duty memory duty = s.loadDuty(msg.sender);
        duty.id = account.id;
        duty.flags = roles & Ledger.TRAINER == 0 ? 0 : Ledger.TRAINS;
        s.store(msg.sender, duty);
        if (roles & Ledger.TRAINER != 0) ++membership.trainers;
        s.store(membership);
        emit IFederation.Joined(msg.sender, uint8(roles), stake, profile);
        bool isSeated = roles & Ledger.VALIDATOR != 0 && membership.seats != Ledger.ALL_SEATS;
        if (isSeated) _takeFreeSeat(s, msg.sender);
        return membership.trainers;
    }

    /// @notice The caller adds to its stake; its money is taken.
    function topUp(Ledger.State storage s, uint256 amount, uint256 minStake) external {
        Words.Account memory account = _loadStaying(s);
        _addStake(s, account, amount, minStake);
        s.store(msg.sender, account);
        Words.Duty memory duty = s.loadDuty(msg.sender);
        duty.flags &= ~Ledger.STAKE_SHORT;
        s.store(msg.sender, duty);
        emit IFederation.StakeAdded(msg.sender, amount, account.stake);
    }

    /// @notice The caller's duties end.
    /// @return How many trainers there are now.
    function requestExit(
        Ledger.State storage s,
        uint256 withdrawableAt
    ) external returns (uint256) {
        Words.Account memory account = _loadStaying(s);
        account.exitAt = block.timestamp;
        s.store(msg.sender, account);
        Words.Membership memory membership = s.loadMembership();
        if (account.roles & Ledger.TRAINER != 0) {
            Words.Duty memory duty = s.loadDuty(msg.sender);
            duty.flags &= ~Ledger.TRAINS;
            s.store(msg.sender, duty);
            --membership.trainers;
            s.store(membership);
        }
        emit IFederation.ExitRequested(msg.sender, withdrawableAt);
        return membership.trainers;
    }

    /// @notice The caller's participation ends.
    /// @return Its stake, to be paid.
    function withdraw(Ledger.State storage s, uint256 unbondingPeriod) external returns (uint256) {
        Words.Account memory account = s.loadAccount(msg.sender);
        if (account.exitAt == 0) revert IFederation.NotLeaving(msg.sender);
        uint256 bondedUntil = account.exitAt + unbondingPeriod;
        if (block.timestamp <= bondedUntil) revert IFederation.StillBonded(bondedUntil);
        uint256 last = s.loadDuty(msg.sender).window;
        if (last >= s.loadNow().judgingWindow) revert IFederation.StillUnjudged(last);
        if (account.seat != 0) {
            Words.Round memory round = s.loadRound();
            bool isActive = Ledger.isIn(Ledger.activeOf(round), account.seat - 1);
            if (isActive) revert IFederation.StillUnjudged(round.window);
            _leaveSeat(s, account.seat - 1);
            account.seat = 0;
        }
        uint256 amount = account.stake;
        account.stake = 0;
        account.roles = 0;
        account.exitAt = 0;
        s.store(msg.sender, account);
        s.stakes -= amount;
        emit IFederation.Withdrawn(msg.sender, amount);
        return amount;
    }

    function _addStake(
        Ledger.State storage s,
        Words.Account memory account,
        uint256 amount,
        uint256 minStake
    ) private {
        uint256 stake = account.stake + amount;
        if (stake < minStake) revert IFederation.StakeBelowMinimum(stake, minStake);
        if (stake > type(uint96).max) revert IFederation.AmountTooLarge(stake, type(uint96).max);
        account.stake = stake;
        s.stakes += amount;
    }

    function _loadStaying(Ledger.State storage s) private view returns (Words.Account memory) {
        Words.Account memory account = s.loadAccount(msg.sender);
        if (account.roles == 0) revert IFederation.NotParticipant(msg.sender);
        if (account.exitAt != 0) revert IFederation.AlreadyLeaving(account.exitAt);
        return account;
    }

    // ---------------------------------------------------------------------------------------------------- seats

    /// @notice A seat for the caller: a free one, or the cheapest at the next boundary.
    function takeSeat(Ledger.State storage s) external {
        Words.Account memory account = _loadStaying(s);
        if (account.roles & Ledger.VALIDATOR == 0) revert IFederation.NotValidator(msg.sender);
        if (account.seat != 0) revert IFederation.AlreadySeated(uint8(account.seat - 1));
        bool isBetween = s.loadRound().stage == Ledger.IDLE;
        if (isBetween) _clearSeats(s);
        if (s.loadAccount(msg.sender).seat != 0) return; // it was the challenger
        Words.Membership memory membership = s.loadMembership();
        if (membership.seats != Ledger.ALL_SEATS) return _takeFreeSeat(s, msg.sender);

        (, uint256 needed) = _cheapestSeat(s);
        uint256 rival = s.loadAccount(address(uint160(membership.challenger))).stake;
        if (membership.challenger != 0 && rival >= needed) needed = rival + 1;
        if (account.stake < needed) revert IFederation.SeatTooCheap(account.stake, needed);
        membership.challenger = uint160(msg.sender);
        s.store(membership);
        if (isBetween) _clearSeats(s);
    }

    function _takeFreeSeat(Ledger.State storage s, address validator) private {
        Words.Membership memory membership = s.loadMembership();
        uint256 seat = LibBit.ffs(~membership.seats);
        membership.seats |= 1 << seat;
        s.store(membership);
        s.seats[seat] = validator;
        _setSeat(s, validator, seat + 1);
        emit IFederation.SeatTaken(validator, uint8(seat));
    }

    function _leaveSeat(Ledger.State storage s, uint256 seat) private {
        Words.Membership memory membership = s.loadMembership();
        membership.seats &= ~(1 << seat);
        s.store(membership);
        _setSeat(s, s.seats[seat], 0);
        emit IFederation.SeatLeft(s.seats[seat], uint8(seat));
    }

    function _setSeat(Ledger.State storage s, address validator, uint256 seat) private {
        Words.Account memory account = s.loadAccount(validator);
        account.seat = seat;
        s.store(validator, account);
        Words.Duty memory duty = s.loadDuty(validator);
        duty.seat = seat;
        s.store(validator, duty);
    }

    /// @dev Between windows: the seats of those who leave are freed, and the challenger gets its seat, if it still can
    /// have it.
    function _clearSeats(Ledger.State storage s) private {
        Words.Membership memory membership = s.loadMembership();
        for (uint256 left = membership.seats; left != 0; left &= left - 1) {
            uint256 seat = LibBit.ffs(left);
            if (s.loadAccount(s.seats[seat]).exitAt != 0) _leaveSeat(s, seat);
        }
        if (membership.challenger == 0) return;
        address challenger = address(uint160(membership.challenger));
        membership = s.loadMembership();
        membership.challenger = 0;
        s.store(membership);
        Words.Account memory account = s.loadAccount(challenger);
        if (account.roles & Ledger.VALIDATOR == 0 || account.exitAt != 0 || account.seat != 0)
            return;
        if (membership.seats == Ledger.ALL_SEATS) {
            (uint256 seat, uint256 needed) = _cheapestSeat(s);
            if (account.stake < needed) return;
            _leaveSeat(s, seat);
        }
        _takeFreeSeat(s, challenger);
    }

    /// @dev All seats are taken.
    function _cheapestSeat(
        Ledger.State storage s
    ) private view returns (uint256 cheapest, uint256 needed) {
        uint256 lowest = type(uint256).max;
        for (uint256 seat = 0; seat < Ledger.MAX_SEATS; ++seat) {
            uint256 stake = s.loadAccount(s.seats[seat]).stake;
            if (stake < lowest) (cheapest, lowest) = (seat, stake);
        }
        needed = lowest + lowest / 10;
    }

    function _canJudge(Words.Account memory account, uint256 minStake) private view returns (bool) {
        return
            account.exitAt == 0 &&
            account.missed < Ledger.ASLEEP &&
            account.stake >= minStake &&
            block.timestamp > account.jailedUntil;
    }

    // ------------------------------------------------------------------------------------------------ its turn

    /// @notice Go to the next sealed window that can be judged, if there is one. Nothing is being judged.
    function beginTurns(Ledger.State storage s, Rules memory rules) external {
        _beginTurns(s, rules);
    }

    function _beginTurns(Ledger.State storage s, Rules memory rules) private {
        Words.Now memory now_ = s.loadNow();
        Words.Round memory round;
        if (now_.judgingWindow < now_.openWindow) {
            _clearSeats(s);
            (uint256 active, address[] memory validators, uint256[] memory weights) = _takeWeights(
                s,
                rules
            );
            do {
                Words.Header memory header = s.loadHeader(now_.judgingWindow);
                if (header.isVoid == 0) {
                    if (validators.length >= rules.minValidators) {
                        _beginTurn(s, rules, round, now_, header);
                        round.owing = active;
                        emit IFederation.TurnBegan(
                            round.window,
                            now_.version,
                            uint64(round.tag),
                            uint32(active),
                            validators,
                            weights
                        );
                        break;
                    }
                    emit IFederation.WindowVoided(
                        now_.judgingWindow,
                        IFederation.VoidReason.TooFewValidators
                    );
                }
                _endWindow(now_, Ledger.UNTALLIED);
            } while (now_.judgingWindow < now_.openWindow);
        }
        // The slot is written again at the next turn: it stays warm.
        if (round.stage == Ledger.IDLE) round.window = now_.judgingWindow - 1;
        s.store(round);
        s.store(now_);
    }

    function _beginTurn(
        Ledger.State storage s,
        Rules memory rules,
        Words.Round memory round,
        Words.Now memory now_,
        Words.Header memory header
    ) private view {
        round.window = now_.judgingWindow;
        round.tag = uint64(
            uint256(
                keccak256(
                    abi.encode(
                        block.chainid,
                        address(this),
                        round.window,
                        header.runningHash,
                        s.models[now_.version]
                    )
                )
            )
        );
        round.updates = header.updates;
        bool isDirect = rules.commitPeriod == 0;
        round.stage = isDirect ? Ledger.REVEAL : Ledger.COMMIT;
        round.deadline = block.timestamp + (isDirect ? rules.revealPeriod : rules.commitPeriod);
    }

    function _endWindow(Words.Now memory now_, uint256 outcome) private pure {
        now_.outcomes = Words.withLane(now_.outcomes, now_.judgingWindow % Ledger.RING, 2, outcome);
        ++now_.judgingWindow;
    }

    /// @dev The active set. Weights are shifted so that the largest fits its lane of 32 bits.
    function _takeWeights(
        Ledger.State storage s,
        Rules memory rules
    ) private returns (uint256 active, address[] memory, uint256[] memory) {
        uint256[] memory validators = new uint256[](Ledger.MAX_SEATS);
        uint256[] memory weights = new uint256[](Ledger.MAX_SEATS);
        uint256 count;
        uint256 largest;
        for (uint256 left = s.loadMembership().seats; left != 0; left &= left - 1) {
            uint256 seat = LibBit.ffs(left);
            address validator = s.seats[seat];
            Words.Account memory account = s.loadAccount(validator);
            if (!_canJudge(account, rules.minStake)) continue;
            active |= 1 << seat;
            uint256 weight = account.stake * (Ledger.PPM + account.reputation);
            if (weight > largest) largest = weight;
            validators[count] = uint160(validator);
            weights[count++] = weight;
        }
        validators.truncate(count);
        weights.truncate(count);
        uint256 shift = largest >> 32 == 0 ? 0 : LibBit.fls(largest) - 31;
        uint256 rest = active;
        uint256[4] memory words;
        for (uint256 k = 0; k < count; ++k) {
            uint256 weight = weights[k] >> shift;
            if (weight == 0) weight = 1;
            weights[k] = weight;
            uint256 seat = LibBit.ffs(rest);
            rest &= rest - 1;
            words[seat / 8] |= weight << (32 * (seat % 8));
        }
        for (uint256 k = 0; k < 4; ++k) if (words[k] != 0) s.weights[k] = words[k];
        return (active, validators.asAddressArray(), weights);
    }

    // ---------------------------------------------------------------------------------------------------- tally

    /// @notice The tally phase has come.
    function tally(
        Ledger.State storage s,
        Rules memory rules,
        address[] calldata authors
    ) external {
        Words.Round memory round = s.loadRound();
        Tally.Input memory input;
        uint256 revealed = Ledger.revealedOf(round);
        input.activeWeight = s.weigh(Ledger.activeOf(round));
        uint256 weight = s.weigh(revealed);
        if (3 * weight < 2 * input.activeWeight)
            revert IFederation.TooFewReveals(weight, input.activeWeight);
        if (authors.length != round.updates)
            revert IFederation.InvalidAuthors(authors.length, address(0));

        input.rejectBelow = rules.rejectBelow;
        input.trustSamples = rules.trustSamples;
        _readReveals(s, input, revealed);
        uint256[] memory ids = _readAuthors(s, input, round, authors);
        Tally.Output memory output = Tally.tally(input);

        bool isBarren = _storeResults(s, round.window, output, ids);
        _storeAgreements(s, output, revealed);
        emit IFederation.WindowTallied(
            round.window,
            uint8(output.keep),
            output.consensus,
            output.verdicts,
            output.shares,
            output.agreement,
            uint32(output.overruled)
        );
        round.stage = Ledger.ATTEST;
        round.deadline = block.timestamp + rules.attestPeriod;
        if (!isBarren) return s.store(round);
        Settlement memory settlement;
        settlement.isTallied = true;
        emit IFederation.WindowVoided(round.window, IFederation.VoidReason.Barren);
        _settle(s, rules, round, settlement);
    }

    function _readReveals(
        Ledger.State storage s,
        Tally.Input memory input,
        uint256 revealed
    ) private view {
        uint256 m = LibBit.popCount(revealed);
        input.scores = new uint256[](m);
        input.weights = new uint256[](m);
        input.keeps = new uint256[](m);
        input.seats = new uint256[](m);
        for (uint256 v = 0; v < m; ++v) {
            uint256 seat = LibBit.ffs(revealed);
            revealed &= revealed - 1;
            (bytes32 row, uint256 keep) = Scores.unpack(s.commitments[seat]);
            input.scores[v] = uint256(row);
            input.keeps[v] = keep;
            input.weights[v] = s.weightOf(seat);
            input.seats[v] = seat;
        }
    }

    function _readAuthors(
        Ledger.State storage s,
        Tally.Input memory input,
        Words.Round memory round,
        address[] calldata authors
    ) private view returns (uint256[] memory ids) {
        uint256 n = authors.length;
        uint256 version = s.loadNow().version;
        uint256 active = Ledger.activeOf(round);
        ids = new uint256[](n);
        input.authorSeat = new uint256[](n);
        input.authorWeight = new uint256[](n);
        input.reputations = new uint256[](n);
        input.samples = new uint256[](n);
        input.staleness = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            Words.Duty memory duty = s.loadDuty(authors[i]);
            if (duty.window != round.window && duty.olderBack != 0) {
                duty.window -= duty.olderBack;
                duty.base -= duty.olderBaseBack;
                duty.index = duty.olderIndex;
                duty.samples = duty.olderSamples;
            }
            if (duty.window != round.window || duty.index != i)
                revert IFederation.InvalidAuthors(i, authors[i]);
            ids[i] = duty.id;
            input.samples[i] = duty.samples;
            input.staleness[i] = version - duty.base;
            input.reputations[i] = s.loadMerit(duty.id).reputation;
            input.authorSeat[i] = 255;
            if (duty.seat != 0 && Ledger.isIn(active, duty.seat - 1)) {
                input.authorSeat[i] = duty.seat - 1;
                input.authorWeight[i] = s.weightOf(duty.seat - 1);
            }
        }
    }

    function _storeResults(
        Ledger.State storage s,
        uint256 window,
        Tally.Output memory output,
        uint256[] memory ids
    ) private returns (bool isBarren) {
        uint256 word;
        isBarren = true;
        for (uint256 i = 0; i < ids.length; ++i) {
            uint256 verdict = output.verdicts[i];
            if (verdict >= Tally.ACCEPTED) isBarren = false;
            uint256 result =
                ids[i] | (output.shares[i] << 24) | (verdict << 48) | (output.keep << 56);
            word |= result << (64 * (i % 4));
            if (i % 4 != 3 && i + 1 != ids.length) continue;
            s.results[Ledger.placeOf(window, i) / 4] = word;
            word = 0;
        }
    }

    function _storeAgreements(
        Ledger.State storage s,
        Tally.Output memory output,
        uint256 revealed
    ) private {
        uint256[4] memory words;
        for (uint256 v = 0; v < output.agreement.length; ++v) {
            uint256 seat = LibBit.ffs(revealed);
            revealed &= revealed - 1;
            uint256 stored = NO_AGREEMENT;
            if (output.agreement[v] == Tally.NO_AGREEMENT)
                output.agreement[v] = type(int32).min; // for the event
            else stored = uint256(output.agreement[v] + BIAS);
            if (Ledger.isIn(output.overruled, seat)) stored = OVERRULED;
            words[seat / 8] |= stored << (32 * (seat % 8));
        }
        for (uint256 k = 0; k < 4; ++k) if (words[k] != 0) s.agreements[k] = words[k];
    }

    // --------------------------------------------------------------------------------------------------- the end

    /// @notice The attestation phase is over.
    function settle(Ledger.State storage s, Rules memory rules) external {
        Words.Round memory round = s.loadRound();
        Settlement memory settlement;
        settlement.isTallied = true;
        settlement.isFinal = round.stage == Ledger.FINAL_STAGE;
        settlement.attestersDue = Ledger.activeOf(round);
        uint256 total = s.weigh(settlement.attestersDue);
        for (uint256 candidate = 0; candidate < round.candidates; ++candidate) {
            uint256 voters = s.votersOf(round, candidate);
            if (2 * s.weigh(voters) > total) settlement.attestersWrong = round.attested & ~voters;
        }
        if (settlement.isFinal) {
            Words.Till memory till = s.loadTill();
            uint256 elapsed = s.loadHeader(round.window).sealedAt - till.lastFinalSealedAt;
            uint256 most = till.pool / 100;
            settlement.reward =
                rules.rewardRate * elapsed < most ? rules.rewardRate * elapsed : most;
        } else {
            emit IFederation.WindowVoided(round.window, IFederation.VoidReason.NoQuorum);
        }
        _settle(s, rules, round, settlement);
    }

    /// @notice The window being judged cannot go on.
    function discard(
        Ledger.State storage s,
        Rules memory rules,
        IFederation.VoidReason reason
    ) external {
        Words.Round memory round = s.loadRound();
        Settlement memory settlement;
        settlement.isFinal = round.stage == Ledger.FINAL_STAGE;
        if (!settlement.isFinal) emit IFederation.WindowVoided(round.window, reason);
        _settle(s, rules, round, settlement);
    }

    function _settle(
        Ledger.State storage s,
        Rules memory rules,
        Words.Round memory round,
        Settlement memory settlement
    ) private {
        _settleValidators(s, rules, round, settlement);
        if (settlement.isTallied) _settleTrainers(s, rules, round, settlement);
        if (settlement.isFinal) {
            Words.Till memory till = s.loadTill();
            uint256 credited = settlement.credited * rules.creditUnit;
            till.pool -= credited;
            till.credits += credited;
            till.lastFinalSealedAt = s.loadHeader(round.window).sealedAt;
            s.store(till);
        }
        emit IFederation.WindowSettled(
            round.window,
            settlement.isFinal,
            settlement.trainers,
            settlement.trainerReputations,
            settlement.validators,
            settlement.validatorReputations
        );
        Words.Now memory now_ = s.loadNow();
        uint256 outcome = round.stage < Ledger.ATTEST ? Ledger.UNTALLIED : Ledger.TALLIED;
        _endWindow(now_, settlement.isFinal ? Ledger.FINAL : outcome);
        s.store(now_);
        _beginTurns(s, rules);
    }

    function _settleValidators(
        Ledger.State storage s,
        Rules memory rules,
        Words.Round memory round,
        Settlement memory settlement
    ) private {
        uint256 active = Ledger.activeOf(round);
        uint256 n = LibBit.popCount(active);
        settlement.validators = new uint256[](n);
        settlement.validatorReputations = new uint256[](n);
        uint256 missed =
            round.owing | (settlement.attestersDue & ~round.attested) | settlement.attestersWrong;
        uint256 total = s.weigh(active);
        settlement.slashed = round.owing & round.committed;
        if (settlement.isFinal) settlement.slashed |= settlement.attestersWrong;
        uint256 suspects;
        for (uint256 k = 0; k < n; ++k) {
            uint256 seat = LibBit.ffs(active);
            active &= active - 1;
            address validator = s.seats[seat];
            Words.Account memory account = s.loadAccount(validator);
            uint256 stored =
                settlement.isTallied
                    ? Words.lane(s.agreements[seat / 8], seat % 8, 32)
                    : NO_AGREEMENT;
            if (Ledger.isIn(missed, seat) || stored == OVERRULED) {
                account.reputation = Reputation.afterMissed(account.reputation);
                if (++account.missed == Ledger.ASLEEP)
                    emit IFederation.FellAsleep(validator, round.window);
            } else {
                account.missed = 0;
                uint256 part = Ledger.PPM / 2;
                if (stored != NO_AGREEMENT) {
                    int256 agreement = int256(stored) - BIAS;
                    account.reputation = Reputation.afterAgreement(account.reputation, agreement);
                    part = agreement < 0 ? 0 : uint256(agreement);
                }
                uint256 reward =
                    (settlement.reward * VALIDATORS_PERCENT * s.weightOf(seat) * part) /
                        (100 * Ledger.PPM * total);
                settlement.validators[k] = _credit(s, rules, settlement, account.id, reward);
            }
            if (account.reputation < Reputation.JAIL) suspects |= 1 << seat;
            settlement.validatorReputations[k] = account.reputation;
            if (Ledger.isIn(settlement.slashed, seat)) {
                IFederation.Fault fault =
                    Ledger.isIn(round.owing, seat)
                        ? IFederation.Fault.CommittedNotRevealed
                        : IFederation.Fault.WrongAttestation;
                _slash(s, rules, validator, account, round.window, fault);
            }
            s.store(validator, account);
        }
        if (suspects != 0) _jailValidators(s, rules, Ledger.activeOf(round), suspects, settlement);
    }

    /// @dev As far as enough validators remain.
    function _jailValidators(
        Ledger.State storage s,
        Rules memory rules,
        uint256 active,
        uint256 suspects,
        Settlement memory settlement
    ) private {
        uint256 able;
        for (uint256 left = s.loadMembership().seats; left != 0; left &= left - 1) {
            uint256 seat = LibBit.ffs(left);
            if (_canJudge(s.loadAccount(s.seats[seat]), rules.minStake)) able |= 1 << seat;
        }
        for (uint256 k = 0; active != 0; ++k) {
            uint256 seat = LibBit.ffs(active);
            active &= active - 1;
            uint256 others = able & ~(1 << seat);
            if (!Ledger.isIn(suspects, seat) || LibBit.popCount(others) < rules.minValidators)
                continue;
            able = others;
            address validator = s.seats[seat];
            Words.Account memory account = s.loadAccount(validator);
            account.missed = 0;
            account.reputation = Reputation.START;
            account.jailedUntil = block.timestamp + rules.jailPeriod;
            s.store(validator, account);
            settlement.validatorReputations[k] = account.reputation;
            emit IFederation.Jailed(validator, uint8(Ledger.VALIDATOR), account.jailedUntil);
        }
    }

    function _settleTrainers(
        Ledger.State storage s,
        Rules memory rules,
        Words.Round memory round,
        Settlement memory settlement
    ) private {
        uint256 n = round.updates;
        settlement.trainers = new uint256[](n);
        settlement.trainerReputations = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            uint256 result = Words.lane(s.results[Ledger.placeOf(round.window, i) / 4], i % 4, 64);
            uint256 id = uint24(result);
            uint256 verdict = uint8(result >> 48);
            if (verdict == Tally.PAID) {
                uint256 reward =
                    (settlement.reward * TRAINERS_PERCENT * uint24(result >> 24)) /
                        (100 * Ledger.PPM);
                settlement.trainers[i] = _credit(s, rules, settlement, id, reward);
            }
            Words.Merit memory merit = s.loadMerit(id);
            merit.history = uint8(merit.history << 1);
            if (verdict == Tally.PAID) {
                merit.reputation = Reputation.afterPaid(merit.reputation);
            } else if (verdict != Tally.ACCEPTED) {
                merit.reputation = Reputation.afterRejected(merit.reputation);
                merit.history |= 1;
                bool isMalformed = verdict == Tally.MALFORMED_VERDICT;
                _punishTrainer(s, rules, round, settlement, merit, s.participants[id], isMalformed);
            }
            s.store(id, merit);
            settlement.trainerReputations[i] = merit.reputation;
        }
    }

    function _punishTrainer(
        Ledger.State storage s,
        Rules memory rules,
        Words.Round memory round,
        Settlement memory settlement,
        Words.Merit memory merit,
        address trainer,
        bool isMalformed
    ) private {
        Words.Duty memory duty = s.loadDuty(trainer);
        if (
            merit.reputation < Reputation.JAIL || LibBit.popCount(merit.history) >= MANY_REJECTIONS
        ) {
            merit.reputation = Reputation.START;
            merit.history = 0;
            duty.jailedUntil = block.timestamp + rules.jailPeriod;
            s.store(trainer, duty);
            emit IFederation.Jailed(trainer, uint8(Ledger.TRAINER), duty.jailedUntil);
        }
        // One fault a window: who was slashed as a validator is not slashed again.
        if (!isMalformed || (duty.seat != 0 && Ledger.isIn(settlement.slashed, duty.seat - 1)))
            return;
        Words.Account memory account = s.loadAccount(trainer);
        _slash(s, rules, trainer, account, round.window, IFederation.Fault.MalformedUpdate);
        s.store(trainer, account);
    }

    /// @dev The caller stores the account.
    function _slash(
        Ledger.State storage s,
        Rules memory rules,
        address who,
        Words.Account memory account,
        uint256 window,
        IFederation.Fault fault
    ) private {
        uint256 amount = rules.slash < account.stake ? rules.slash : account.stake;
        if (amount == 0) return;
        account.stake -= amount;
        s.stakes -= amount;
        s.slashed += amount;
        if (account.stake < rules.minStake) {
            Words.Duty memory duty = s.loadDuty(who);
            duty.flags |= Ledger.STAKE_SHORT;
            s.store(who, duty);
        }
        emit IFederation.Slashed(who, window, fault, amount);
    }

    /// @dev Rounds down to whole units, up to what a lane holds; what is not credited stays in the pool.
    function _credit(
        Ledger.State storage s,
        Rules memory rules,
        Settlement memory settlement,
        uint256 id,
        uint256 amount
    ) private returns (uint256) {
        uint256 units = amount / rules.creditUnit;
        if (units == 0) return 0;
        Words.Merit memory merit = s.loadMerit(id);
        if (units > Ledger.MAX_CREDIT - merit.credit) units = Ledger.MAX_CREDIT - merit.credit;
        merit.credit += units;
        s.store(id, merit);
        settlement.credited += units;
        return units * rules.creditUnit;
    }
}
