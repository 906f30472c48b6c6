// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";

import {IFederation} from "../IFederation.sol";
import {Ledger} from "./Ledger.sol";
import {Numbers} from "./Numbers.sol";
import {Reputation} from "./Reputation.sol";
import {Scores} from "./Scores.sol";
import {Tally} from "./Tally.sol";
import {
    Account,
    Duty,
    Header,
    Membership,
    Merit,
    Now,
    Result,
    Round,
    Seat,
    Service,
    Tariff,
    Terms,
    Till,
    Words
} from "./Words.sol";

/// @title Who takes part, and how windows are judged: membership, seats, turn, tally, settlement
/// @notice The second half of `Federation.sol`, linked, since one contract may not have all the code: it works on the
/// federation's own state, and its events are the federation's. `IFederation.sol` specifies what it does.
/// @dev A result is a lane of 64 bits: the author's id (24), its share (24), the verdict (8), the window's keep (8).
library Judging {
    using DynamicArrayLib for uint256[];
    using Ledger for Ledger.State;
    using Numbers for bytes;
    using Words for uint256;

    uint256 private constant MANY_REJECTIONS = 3; // of eight
    uint256 private constant TRAINERS_PERCENT = 70; // of a reward
    uint256 private constant VALIDATORS_PERCENT = 30;

    // How an agreement lies in its lane of 32 bits: plus a bias, so that no lane of a seat that revealed is zero.
    int256 private constant BIAS = 2e6;
    uint256 private constant NO_AGREEMENT = 1;
    uint256 private constant OVERRULED = 2;

    /// @notice What of a federation's parameters judging depends on.
    struct Rules {
        uint256 terms; // Terms
        uint256 tariff; // Tariff
    }

    /// @dev What a window's end brings to those who had a part in it.
    struct Settlement {
        bool isTallied; // and the tally counts
        bool isFinal;
        uint256 attestersDue; // seats that should have attested
        uint256 attestersWrong; // seats that attested another digest than more than half of the weight
        uint256 trainersPot; // money, times 100 PPM
        uint256 validatorsPot; // money, times 100 PPM
        uint256 creditUnit; // money
        uint256 credited; // units given
        uint256 missed; // seats that missed the window
        uint256 slashed; // seats
        uint256 totalWeight; // of the active set, where there is a reward
        uint256[] trainers; // money
        bytes trainerReputations; // Numbers
        uint256[] validators; // money
        bytes validatorReputations; // Numbers
        uint256 lows; // seats whose reputation is too low
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
        if (s.now_.get(Now.FLAGS) & Now.CLOSED != 0) revert IFederation.IsClosed();
        if (roles == 0 || roles > Ledger.TRAINER + Ledger.VALIDATOR)
            revert IFederation.InvalidRoles(uint8(roles));
        uint256 account = s.accounts[msg.sender];
        if (account.get(Account.ROLES) != 0) revert IFederation.AlreadyParticipant(msg.sender);
        uint256 membership = s.membership;
        uint256 id = account.get(Account.ID);
        if (id == 0) {
            id = membership.get(Membership.PARTICIPANTS) + 1;
            if (id > type(uint24).max) revert IFederation.TooManyParticipants(type(uint24).max);
            membership = membership.set(Membership.PARTICIPANTS, id);
            account = Words.put(Account.ID, id);
            s.participants[id] = msg.sender;
            s.setMerit(id, Words.put(Merit.REPUTATION, Reputation.START));
            s.setService(id, Words.put(Service.REPUTATION, Reputation.START));
        }
        account = _addStake(s, account, stake, minStake);
        s.accounts[msg.sender] = account.set(Account.ROLES, roles);
        s.setService(id, s.serviceOf(id).set(Service.MISSED, 0));
        s.profiles[msg.sender] = profile;

        bool isTrainer = roles & Ledger.TRAINER != 0;
        s.duties[msg.sender] = s.duties[msg.sender].set(Duty.ID, id).set(
            Duty.FLAGS,
            isTrainer ? Duty.TRAINS : 0
        );
        uint256 trainers = membership.get(Membership.TRAINERS) + (isTrainer ? 1 : 0);
        s.membership = membership.set(Membership.TRAINERS, trainers);
        emit IFederation.Joined(msg.sender, uint8(roles), stake, profile);
        bool isSeated =
            roles & Ledger.VALIDATOR != 0 && membership.get(Membership.SEATS) != Ledger.ALL_SEATS;
        if (isSeated) _takeFreeSeat(s, msg.sender);
        return trainers;
    }

    /// @notice The caller adds to its stake; its money is taken.
    function topUp(Ledger.State storage s, uint256 amount, uint256 minStake) external {
        uint256 account = _loadStaying(s);
        account = _addStake(s, account, amount, minStake);
        _storeStake(s, msg.sender, account);
        uint256 duty = s.duties[msg.sender];
        s.duties[msg.sender] = duty.set(Duty.FLAGS, duty.get(Duty.FLAGS) & ~Duty.STAKE_SHORT);
        emit IFederation.StakeAdded(msg.sender, amount, account.get(Account.STAKE));
    }

    /// @notice The caller's duties end.
    /// @return How many trainers there are now.
    function requestExit(
        Ledger.State storage s,
        uint256 withdrawableAt
    ) external returns (uint256) {
        uint256 account = _loadStaying(s);
        s.accounts[msg.sender] = account.set(Account.EXIT_AT, block.timestamp);
        uint256 membership = s.membership;
        uint256 seat = account.get(Account.SEAT);
        if (seat != 0) {
            _raiseFlag(s, seat - 1, Seat.LEAVING);
            membership = membership.set(Membership.MOVING, 1);
        }
        uint256 trainers = membership.get(Membership.TRAINERS);
        if (account.get(Account.ROLES) & Ledger.TRAINER != 0) {
            uint256 duty = s.duties[msg.sender];
            s.duties[msg.sender] = duty.set(Duty.FLAGS, duty.get(Duty.FLAGS) & ~Duty.TRAINS);
            membership = membership.set(Membership.TRAINERS, --trainers);
        }
        s.membership = membership;
        emit IFederation.ExitRequested(msg.sender, withdrawableAt);
        return trainers;
    }

    /// @notice The caller's participation ends.
    /// @return Its stake, to be paid.
    function withdraw(Ledger.State storage s, uint256 unbondingPeriod) external returns (uint256) {
        uint256 account = s.accounts[msg.sender];
        if (account.get(Account.EXIT_AT) == 0) revert IFederation.NotLeaving(msg.sender);
        uint256 bondedUntil = account.get(Account.EXIT_AT) + unbondingPeriod;
        if (block.timestamp <= bondedUntil) revert IFederation.StillBonded(bondedUntil);
        uint256 last = s.duties[msg.sender].get(Duty.WINDOW);
        if (last >= s.now_.get(Now.JUDGING)) revert IFederation.StillUnjudged(last);
        if (account.get(Account.SEAT) != 0) {
            uint256 round = s.round;
            bool isActive = Ledger.isIn(Round.active(round), account.get(Account.SEAT) - 1);
            if (isActive) revert IFederation.StillUnjudged(round.get(Round.WINDOW));
            _leaveSeat(s, account.get(Account.SEAT) - 1);
            account = account.set(Account.SEAT, 0);
        }
        uint256 amount = account.get(Account.STAKE);
        s.accounts[msg.sender] = account.set(Account.STAKE, 0).set(Account.ROLES, 0).set(
            Account.EXIT_AT,
            0
        );
        s.stakes -= amount;
        emit IFederation.Withdrawn(msg.sender, amount);
        return amount;
    }

    function _addStake(
        Ledger.State storage s,
        uint256 account,
        uint256 amount,
        uint256 minStake
    ) private returns (uint256) {
        uint256 stake = account.get(Account.STAKE) + amount;
        if (stake < minStake) revert IFederation.StakeBelowMinimum(stake, minStake);
        if (stake > type(uint96).max) revert IFederation.AmountTooLarge(stake, type(uint96).max);
        s.stakes += amount;
        return account.set(Account.STAKE, stake);
    }

    /// @dev Of one whose stake has changed; a seat knows the stake behind it.
    function _storeStake(Ledger.State storage s, address who, uint256 account) private {
        s.accounts[who] = account;
        uint256 seat = account.get(Account.SEAT);
        if (seat == 0) return;
        s.setSeat(seat - 1, s.seatAt(seat - 1).set(Seat.STAKE, account.get(Account.STAKE)));
    }

    function _loadStaying(Ledger.State storage s) private view returns (uint256) {
        uint256 account = s.accounts[msg.sender];
        if (account.get(Account.ROLES) == 0) revert IFederation.NotParticipant(msg.sender);
        if (account.get(Account.EXIT_AT) != 0)
            revert IFederation.AlreadyLeaving(account.get(Account.EXIT_AT));
        return account;
    }

    // ---------------------------------------------------------------------------------------------------- seats

    /// @notice A seat for the caller: a free one, or the cheapest at the next boundary.
    function takeSeat(Ledger.State storage s) external {
        uint256 account = _loadStaying(s);
        if (account.get(Account.ROLES) & Ledger.VALIDATOR == 0)
            revert IFederation.NotValidator(msg.sender);
        if (account.get(Account.SEAT) != 0)
            revert IFederation.AlreadySeated(uint8(account.get(Account.SEAT) - 1));
        bool isBetween = s.round.get(Round.STAGE) == Round.IDLE;
        if (isBetween) _clearSeats(s);
        if (s.accounts[msg.sender].get(Account.SEAT) != 0) return; // it was the challenger
        uint256 membership = s.membership;
        if (membership.get(Membership.SEATS) != Ledger.ALL_SEATS)
            return _takeFreeSeat(s, msg.sender);

        (, uint256 needed) = _cheapestSeat(s);
        uint256 rival = s.accounts[address(uint160(membership.get(Membership.CHALLENGER)))].get(
            Account.STAKE
        );
        if (membership.get(Membership.CHALLENGER) != 0 && rival >= needed) needed = rival + 1;
        if (account.get(Account.STAKE) < needed)
            revert IFederation.SeatTooCheap(account.get(Account.STAKE), needed);
        membership = membership.set(Membership.CHALLENGER, uint160(msg.sender));
        s.membership = membership.set(Membership.MOVING, 1);
        if (isBetween) _clearSeats(s);
    }

    function _takeFreeSeat(Ledger.State storage s, address validator) private {
        uint256 membership = s.membership;
        uint256 seats = membership.get(Membership.SEATS);
        uint256 seat = LibBit.ffs(~seats);
        s.membership = membership.set(Membership.SEATS, seats | (1 << seat));
        uint256 account = s.accounts[validator];
        bool isJailed = block.timestamp <= account.get(Account.JAILED_UNTIL);
        s.setSeat(
            seat,
            Words.put(Seat.ID, account.get(Account.ID)) |
                Words.put(Seat.STAKE, account.get(Account.STAKE)) |
                Words.put(Seat.FLAGS, isJailed ? Seat.JAILED : 0)
        );
        s.accounts[validator] = account.set(Account.SEAT, seat + 1);
        s.duties[validator] = s.duties[validator].set(Duty.SEAT, seat + 1);
        emit IFederation.SeatTaken(validator, uint8(seat));
    }

    function _leaveSeat(Ledger.State storage s, uint256 seat) private {
        uint256 membership = s.membership;
        s.membership = membership.set(
            Membership.SEATS,
            membership.get(Membership.SEATS) & ~(1 << seat)
        );
        address validator = s.holderOf(seat);
        s.accounts[validator] = s.accounts[validator].set(Account.SEAT, 0);
        s.duties[validator] = s.duties[validator].set(Duty.SEAT, 0);
        emit IFederation.SeatLeft(validator, uint8(seat));
    }

    function _raiseFlag(Ledger.State storage s, uint256 seat, uint256 flag) private {
        uint256 value = s.seatAt(seat);
        s.setSeat(seat, value.set(Seat.FLAGS, value.get(Seat.FLAGS) | flag));
    }

    /// @dev Between windows: the seats of those who leave are freed, and the challenger gets its seat, if it still can
    /// have it.
    function _clearSeats(Ledger.State storage s) private {
        uint256 membership = s.membership;
        if (membership.get(Membership.MOVING) == 0) return;
        uint256 seats = membership.get(Membership.SEATS);
        for (uint256 seat = 0; seats >> seat != 0; ++seat) {
            if (!Ledger.isIn(seats, seat)) continue;
            if (s.seatAt(seat).get(Seat.FLAGS) & Seat.LEAVING != 0) _leaveSeat(s, seat);
        }
        address challenger = address(uint160(membership.get(Membership.CHALLENGER)));
        membership = s.membership.set(Membership.MOVING, 0).set(Membership.CHALLENGER, 0);
        s.membership = membership;
        if (challenger == address(0)) return;
        uint256 account = s.accounts[challenger];
        bool isStaying =
            account.get(Account.EXIT_AT) == 0 && account.get(Account.ROLES) & Ledger.VALIDATOR != 0;
        if (!isStaying || account.get(Account.SEAT) != 0) return;
        if (membership.get(Membership.SEATS) == Ledger.ALL_SEATS) {
            (uint256 seat, uint256 needed) = _cheapestSeat(s);
            if (account.get(Account.STAKE) < needed) return;
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
            uint256 stake = s.seatAt(seat).get(Seat.STAKE);
            if (stake < lowest) (cheapest, lowest) = (seat, stake);
        }
        needed = lowest + lowest / 10;
    }

    function _canJudge(
        Ledger.State storage s,
        uint256 seat,
        uint256 service,
        uint256 minStake
    ) private view returns (bool) {
        uint256 flags = seat.get(Seat.FLAGS);
        if (
            flags & Seat.LEAVING != 0 ||
            service.get(Service.MISSED) >= Service.ASLEEP ||
            seat.get(Seat.STAKE) < minStake
        ) return false;
        if (flags & Seat.JAILED == 0) return true;
        uint256 account = s.accounts[s.participants[seat.get(Seat.ID)]];
        return block.timestamp > account.get(Account.JAILED_UNTIL);
    }

    // ------------------------------------------------------------------------------------------------ its turn

    /// @notice Go to the next sealed window that can be judged, if there is one. Nothing is being judged.
    function beginTurns(Ledger.State storage s, Rules memory rules) external {
        _beginTurns(s, rules);
    }

    function _beginTurns(Ledger.State storage s, Rules memory rules) private {
        uint256 now_ = s.now_;
        uint256 window = now_.get(Now.JUDGING);
        uint256 open = now_.get(Now.OPEN);
        uint256 round;
        if (window < open) {
            _clearSeats(s);
            (uint256 active, uint256 fewest, uint256[] memory weights) = _takeWeights(s, rules);
            for (; window < open; ++window) {
                uint256 header = s.headers[window % Ledger.RING];
                if (header.get(Header.VOID) == 0) {
                    if (weights.length >= rules.terms.get(Terms.MIN_VALIDATORS)) {
                        uint256 version = now_.get(Now.VERSION);
                        round =
                            _newRound(rules, header, window, s.models[version]) |
                            Words.put(Round.OWING, active) |
                            Words.put(Round.FEWEST, fewest);
                        uint64 tag = uint64(round.get(Round.TAG));
                        emit IFederation.TurnBegan(window, version, tag, uint32(active), weights);
                        break;
                    }
                    emit IFederation.WindowVoided(window, IFederation.VoidReason.TooFewValidators);
                }
                now_ = _end(now_, window, Ledger.UNTALLIED);
            }
        }
        // An idle round keeps its last window, for a slot that is never zero costs less to write again.
        if (round == 0) round = window - 1;
        s.round = round;
        s.now_ = now_.set(Now.JUDGING, window);
    }

    function _newRound(
        Rules memory rules,
        uint256 header,
        uint256 window,
        bytes32 model
    ) private view returns (uint256) {
        uint256 hash = header.get(Header.HASH);
        bytes32 tag = keccak256(abi.encode(block.chainid, address(this), window, hash, model));
        uint256 period = rules.terms.get(Terms.COMMIT_PERIOD);
        uint256 stage = Round.COMMIT;
        if (period == 0) (period, stage) = (rules.terms.get(Terms.REVEAL_PERIOD), Round.REVEAL);
        return
            Words.put(Round.WINDOW, window) |
            Words.put(Round.TAG, uint64(uint256(tag))) |
            Words.put(Round.UPDATES, header.get(Header.UPDATES)) |
            Words.put(Round.STAGE, stage) |
            Words.put(Round.DEADLINE, block.timestamp + period);
    }

    function _end(uint256 now_, uint256 window, uint256 outcome) private pure returns (uint256) {
        uint256 outcomes = now_.get(Now.OUTCOMES).withLane(window % Ledger.RING, 2, outcome);
        return now_.set(Now.OUTCOMES, outcomes);
    }

    /// @dev The active set. Weights are shifted so that the largest fits its lane of 32 bits.
    /// @return active Its seats.
    /// @return fewest How many of them it takes at least to hold two thirds of the weight.
    /// @return weights In the order of seats.
    function _takeWeights(
        Ledger.State storage s,
        Rules memory rules
    ) private returns (uint256 active, uint256 fewest, uint256[] memory weights) {
        uint256 seats = s.membership.get(Membership.SEATS);
        uint256 minStake = rules.tariff.get(Tariff.MIN_STAKE);
        uint256 largest;
        uint256 count;
        weights = DynamicArrayLib.malloc(LibBit.popCount(seats));
        unchecked {
            // Safe: count is at most how many seats there are; a stake of 96 bits times 2e6 is below 2^117.
            for (uint256 seat = 0; seats >> seat != 0; ++seat) {
                if (!Ledger.isIn(seats, seat)) continue;
                uint256 value = s.seatAt(seat);
                uint256 service = s.serviceOf(value.get(Seat.ID));
                if (!_canJudge(s, value, service, minStake)) continue;
                active |= 1 << seat;
                uint256 weight =
                    value.get(Seat.STAKE) * (Ledger.PPM + service.get(Service.REPUTATION));
                if (weight > largest) largest = weight;
                weights.set(count++, weight);
            }
        }
        weights.truncate(count);
        if (count != 0) fewest = _storeWeights(s, active, weights, largest);
    }

    /// @dev Shifts them and packs them into lanes.
    function _storeWeights(
        Ledger.State storage s,
        uint256 active,
        uint256[] memory weights,
        uint256 largest
    ) private returns (uint256) {
        unchecked {
            // Safe: at least 32 bits of weight before the shift; 32 at most after it, and 32 weights.
            uint256 shift = largest >> 32 == 0 ? 0 : LibBit.fls(largest) - 31;
            uint256 total;
            uint256 count;
            uint256 word;
            for (uint256 seat = 0; active >> seat != 0; ++seat) {
                if (Ledger.isIn(active, seat)) {
                    uint256 weight = weights.get(count) >> shift;
                    if (weight == 0) weight = 1;
                    weights.set(count++, weight);
                    total += weight;
                    word |= weight << (32 * (seat % 8));
                }
                if (seat % 8 != 7 && active >> (seat + 1) != 0) continue;
                if (word != 0) s.weights[seat / 8] = word;
                word = 0;
            }
            largest >>= shift; // at least one, as the largest is not shifted out
            return (2 * total + 3 * largest - 1) / (3 * largest);
        }
    }

    // ---------------------------------------------------------------------------------------------------- tally

    /// @notice The tally phase has come.
    function tally(
        Ledger.State storage s,
        Rules memory rules,
        address[] calldata authors
    ) external {
        uint256 round = s.round;
        Tally.Input memory input;
        uint256 revealed = Round.revealed(round);
        input.activeWeight = s.weigh(Round.active(round));
        uint256 weight = s.weigh(revealed);
        if (3 * weight < 2 * input.activeWeight)
            revert IFederation.TooFewReveals(weight, input.activeWeight);
        if (authors.length != round.get(Round.UPDATES)) {
            revert IFederation.InvalidAuthors(authors.length, address(0));
        }

        input.rejectBelow = -int256(rules.terms.get(Terms.FLOOR));
        input.trustSamples = rules.terms.get(Terms.TRUST_SAMPLES) != 0;
        _readReveals(s, input, revealed);
        uint256[] memory ids = _readAuthors(s, input, round, authors);
        Tally.Output memory output = Tally.compute(input);

        uint256 window = round.get(Round.WINDOW);
        bool isBarren = _storeResults(s, window, output, ids);
        _storeAgreements(s, output, revealed);
        emit IFederation.WindowTallied(
            window,
            uint8(output.keep),
            output.consensus,
            output.verdicts,
            output.shares,
            output.agreement,
            uint32(output.overruled)
        );
        round = round.set(Round.STAGE, Round.ATTEST);
        round = round.set(Round.DEADLINE, block.timestamp + rules.terms.get(Terms.ATTEST_PERIOD));
        s.round = round;
        if (!isBarren) return;
        Settlement memory settlement;
        settlement.isTallied = true;
        emit IFederation.WindowVoided(window, IFederation.VoidReason.Barren);
        _settle(s, rules, round, settlement);
    }

    function _readReveals(
        Ledger.State storage s,
        Tally.Input memory input,
        uint256 revealed
    ) private view {
        uint256 m = LibBit.popCount(revealed);
        input.scores = DynamicArrayLib.malloc(m);
        input.weights = DynamicArrayLib.malloc(m);
        input.keeps = DynamicArrayLib.malloc(m);
        input.seats = DynamicArrayLib.malloc(m);
        unchecked {
            // Safe: v counts the m seats that revealed.
            uint256 v;
            for (uint256 seat = 0; revealed >> seat != 0; ++seat) {
                if (!Ledger.isIn(revealed, seat)) continue;
                (bytes32 row, uint256 keep) = Scores.unpack(s.commitments[seat]);
                input.scores.set(v, uint256(row));
                input.keeps.set(v, keep);
                input.weights.set(v, s.weightOf(seat));
                input.seats.set(v++, seat);
            }
        }
    }

    function _readAuthors(
        Ledger.State storage s,
        Tally.Input memory input,
        uint256 round,
        address[] calldata authors
    ) private view returns (uint256[] memory ids) {
        uint256 n = authors.length;
        uint256 window = round.get(Round.WINDOW);
        uint256 version = s.now_.get(Now.VERSION);
        uint256 active = Round.active(round);
        ids = DynamicArrayLib.malloc(n);
        input.authorSeat = DynamicArrayLib.malloc(n);
        input.authorWeight = DynamicArrayLib.malloc(n);
        input.reputations = DynamicArrayLib.malloc(n);
        input.samples = DynamicArrayLib.malloc(n);
        input.staleness = DynamicArrayLib.malloc(n);
        unchecked {
            // Safe: i < n, the length of all arrays; a base is at most the version of its submission, which has not
            // fallen since; the older update counts back from the newer one.
            for (uint256 i = 0; i < n; ++i) {
                uint256 duty = s.duties[authors[i]];
                (uint256 index, uint256 samples) = (duty.get(Duty.INDEX), duty.get(Duty.SAMPLES));
                (uint256 last, uint256 base) = (duty.get(Duty.WINDOW), duty.get(Duty.BASE));
                if (last != window && duty.get(Duty.OLDER_BACK) != 0) {
                    last -= duty.get(Duty.OLDER_BACK);
                    base -= duty.get(Duty.OLDER_BASE_BACK);
                    (index, samples) = (duty.get(Duty.OLDER_INDEX), duty.get(Duty.OLDER_SAMPLES));
                }
                if (last != window || index != i) revert IFederation.InvalidAuthors(i, authors[i]);
                uint256 id = duty.get(Duty.ID);
                ids.set(i, id);
                input.samples.set(i, samples);
                input.staleness.set(i, version - base);
                input.reputations.set(i, s.meritOf(id).get(Merit.REPUTATION));
                uint256 seat = duty.get(Duty.SEAT);
                bool isActive = seat != 0 && Ledger.isIn(active, seat - 1);
                input.authorSeat.set(i, isActive ? seat - 1 : 255);
                input.authorWeight.set(i, isActive ? s.weightOf(seat - 1) : 0);
            }
        }
    }

    function _storeResults(
        Ledger.State storage s,
        uint256 window,
        Tally.Output memory output,
        uint256[] memory ids
    ) private returns (bool isBarren) {
        uint256 n = ids.length;
        uint256 word;
        isBarren = true;
        unchecked {
            // Safe: i < n, the length of all arrays.
            for (uint256 i = 0; i < n; ++i) {
                uint256 verdict = output.verdicts.get(i);
                if (verdict >= Tally.ACCEPTED) isBarren = false;
                uint256 result =
                    ids.get(i) |
                        (output.shares.get(i) << 24) |
                        (verdict << 48) |
                        (output.keep << 56);
                word |= result << (64 * (i % 4));
                if (i % 4 != 3 && i + 1 != n) continue;
                s.results[Ledger.placeOf(window, i) / 4] = word;
                word = 0;
            }
        }
    }

    function _storeAgreements(
        Ledger.State storage s,
        Tally.Output memory output,
        uint256 revealed
    ) private {
        uint256[4] memory words;
        uint256 v;
        for (uint256 seat = 0; revealed >> seat != 0; ++seat) {
            if (!Ledger.isIn(revealed, seat)) continue;
            int256 agreement = output.agreement[v];
            uint256 stored =
                agreement == Tally.NO_AGREEMENT ? NO_AGREEMENT : uint256(agreement + BIAS);
            if (agreement == Tally.NO_AGREEMENT) output.agreement[v] = type(int32).min; // for the event
            if (Ledger.isIn(output.overruled, seat)) stored = OVERRULED;
            words[seat / 8] |= stored << (32 * (seat % 8));
            ++v;
        }
        for (uint256 k = 0; k < 4; ++k) if (words[k] != 0) s.agreements[k] = words[k];
    }

    // --------------------------------------------------------------------------------------------------- the end

    /// @notice The attestation phase is over.
    function settle(Ledger.State storage s, Rules memory rules) external {
        uint256 round = s.round;
        Settlement memory settlement;
        settlement.isTallied = true;
        settlement.isFinal = round.get(Round.STAGE) == Round.FINAL;
        settlement.attestersDue = Round.active(round);
        uint256 total = s.weigh(settlement.attestersDue);
        for (uint256 candidate = 0; candidate < round.get(Round.CANDIDATES); ++candidate) {
            uint256 voters = s.votersOf(round, candidate);
            if (2 * s.weigh(voters) > total)
                settlement.attestersWrong = round.get(Round.ATTESTED) & ~voters;
        }
        if (settlement.isFinal) {
            uint256 till = s.till;
            uint256 elapsed = _sealedAt(s, round) - till.get(Till.LAST_FINAL_SEALED_AT);
            uint256 earned = rules.tariff.get(Tariff.REWARD_RATE) * elapsed;
            uint256 most = till.get(Till.POOL) / 100;
            if (earned > most) earned = most;
            settlement.trainersPot = earned * TRAINERS_PERCENT;
            settlement.validatorsPot = earned * VALIDATORS_PERCENT;
            settlement.totalWeight = total;
        } else {
            emit IFederation.WindowVoided(round.get(Round.WINDOW), IFederation.VoidReason.NoQuorum);
        }
        _settle(s, rules, round, settlement);
    }

    /// @notice The window being judged cannot go on.
    function discard(
        Ledger.State storage s,
        Rules memory rules,
        IFederation.VoidReason reason
    ) external {
        uint256 round = s.round;
        Settlement memory settlement;
        settlement.isFinal = round.get(Round.STAGE) == Round.FINAL;
        if (!settlement.isFinal) emit IFederation.WindowVoided(round.get(Round.WINDOW), reason);
        _settle(s, rules, round, settlement);
    }

    function _settle(
        Ledger.State storage s,
        Rules memory rules,
        uint256 round,
        Settlement memory settlement
    ) private {
        uint256 window = round.get(Round.WINDOW);
        settlement.creditUnit = rules.tariff.get(Tariff.MIN_STAKE) / Ledger.PPM;
        _settleValidators(s, rules, round, settlement);
        if (settlement.isTallied) _settleTrainers(s, rules, round, settlement);
        uint256 outcome = round.get(Round.STAGE) < Round.ATTEST ? Ledger.UNTALLIED : Ledger.TALLIED;
        if (settlement.isFinal) {
            outcome = Ledger.FINAL;
            uint256 till = s.till;
            uint256 credited = settlement.credited * settlement.creditUnit;
            till = till.set(Till.POOL, till.get(Till.POOL) - credited);
            till = till.set(Till.CREDITS, till.get(Till.CREDITS) + credited);
            s.till = till.set(Till.LAST_FINAL_SEALED_AT, _sealedAt(s, round));
        }
        emit IFederation.WindowSettled(
            window,
            settlement.isFinal,
            settlement.trainers,
            settlement.trainerReputations,
            settlement.validators,
            settlement.validatorReputations
        );
        s.now_ = _end(s.now_, window, outcome).set(Now.JUDGING, window + 1);
        _beginTurns(s, rules);
    }

    function _sealedAt(Ledger.State storage s, uint256 round) private view returns (uint256) {
        return s.headers[round.get(Round.WINDOW) % Ledger.RING].get(Header.SEALED_AT);
    }

    function _settleValidators(
        Ledger.State storage s,
        Rules memory rules,
        uint256 round,
        Settlement memory settlement
    ) private {
        uint256 active = Round.active(round);
        settlement.missed =
            round.get(Round.OWING) |
            (settlement.attestersDue & ~round.get(Round.ATTESTED)) |
            settlement.attestersWrong;
        settlement.slashed = round.get(Round.OWING) & round.get(Round.COMMITTED);
        if (settlement.isFinal) settlement.slashed |= settlement.attestersWrong;
        uint256 n = LibBit.popCount(active);
        settlement.validators = DynamicArrayLib.malloc(n);
        settlement.validatorReputations = Numbers.room(n);
        unchecked {
            // Safe: k counts the n active seats.
            uint256 k;
            for (uint256 seat = 0; active >> seat != 0; ++seat) {
                if (!Ledger.isIn(active, seat)) continue;
                uint256 id = s.seatAt(seat).get(Seat.ID);
                (uint256 service, uint256 reward) = _settleValidator(
                    s,
                    round,
                    settlement,
                    seat,
                    s.serviceOf(id)
                );
                s.setService(id, service);
                if (Ledger.isIn(settlement.slashed, seat)) {
                    IFederation.Fault fault =
                        Ledger.isIn(round.get(Round.OWING), seat)
                            ? IFederation.Fault.CommittedNotRevealed
                            : IFederation.Fault.WrongAttestation;
                    _slash(s, rules, s.participants[id], round.get(Round.WINDOW), fault);
                }
                uint256 reputation = service.get(Service.REPUTATION);
                if (reputation < Reputation.JAIL) settlement.lows |= 1 << seat;
                settlement.validatorReputations.set(k, reputation);
                settlement.validators.set(k++, reward);
            }
        }
        if (settlement.lows != 0) _jailValidators(s, rules, active, settlement);
    }

    /// @return The service, to be stored.
    /// @return Its reward.
    function _settleValidator(
        Ledger.State storage s,
        uint256 round,
        Settlement memory settlement,
        uint256 seat,
        uint256 service
    ) private returns (uint256, uint256) {
        uint256 reputation = service.get(Service.REPUTATION);
        uint256 stored = NO_AGREEMENT;
        if (settlement.isTallied) stored = s.agreements[seat / 8].lane(seat % 8, 32);
        if (Ledger.isIn(settlement.missed, seat) || stored == OVERRULED) {
            uint256 missed = service.get(Service.MISSED) + 1;
            if (missed == Service.ASLEEP)
                emit IFederation.FellAsleep(s.holderOf(seat), round.get(Round.WINDOW));
            service = service.set(Service.MISSED, missed);
            return (service.set(Service.REPUTATION, Reputation.afterMissed(reputation)), 0);
        }
        service = service.set(Service.MISSED, 0);
        uint256 part = Ledger.PPM / 2;
        if (stored != NO_AGREEMENT) {
            int256 agreement = int256(stored) - BIAS;
            reputation = Reputation.afterAgreement(reputation, agreement);
            service = service.set(Service.REPUTATION, reputation);
            part = agreement < 0 ? 0 : uint256(agreement);
        }
        if (settlement.validatorsPot == 0) return (service, 0);
        unchecked {
            // Safe: a pot is below 2^111, a weight below 2^32, a part at most PPM; the total is not zero.
            uint256 reward =
                (settlement.validatorsPot * s.weightOf(seat) * part) /
                    (100 * Ledger.PPM * settlement.totalWeight);
            return _credit(settlement, service, reward);
        }
    }

    /// @dev Those whose reputation is too low, as far as enough validators remain. Reputations are listed again, as
    /// jail changes them.
    function _jailValidators(
        Ledger.State storage s,
        Rules memory rules,
        uint256 active,
        Settlement memory settlement
    ) private {
        uint256 seats = s.membership.get(Membership.SEATS);
        uint256 minStake = rules.tariff.get(Tariff.MIN_STAKE);
        uint256 able;
        for (uint256 seat = 0; seats >> seat != 0; ++seat) {
            if (!Ledger.isIn(seats, seat)) continue;
            uint256 value = s.seatAt(seat);
            uint256 service = s.serviceOf(value.get(Seat.ID));
            if (_canJudge(s, value, service, minStake)) able |= 1 << seat;
        }
        uint256 k;
        for (uint256 seat = 0; active >> seat != 0; ++seat) {
            if (!Ledger.isIn(active, seat)) continue;
            uint256 others = able & ~(1 << seat);
            bool isEnough = LibBit.popCount(others) >= rules.terms.get(Terms.MIN_VALIDATORS);
            if (Ledger.isIn(settlement.lows, seat) && isEnough) {
                able = others;
                _jailValidator(s, seat, block.timestamp + rules.terms.get(Terms.JAIL_PERIOD));
            }
            uint256 service = s.serviceOf(s.seatAt(seat).get(Seat.ID));
            settlement.validatorReputations.set(k++, service.get(Service.REPUTATION));
        }
    }

    function _jailValidator(Ledger.State storage s, uint256 seat, uint256 until) private {
        uint256 id = s.seatAt(seat).get(Seat.ID);
        address validator = s.participants[id];
        s.accounts[validator] = s.accounts[validator].set(Account.JAILED_UNTIL, until);
        uint256 service = s.serviceOf(id).set(Service.MISSED, 0);
        s.setService(id, service.set(Service.REPUTATION, Reputation.START));
        _raiseFlag(s, seat, Seat.JAILED);
        emit IFederation.Jailed(validator, uint8(Ledger.VALIDATOR), until);
    }

    function _settleTrainers(
        Ledger.State storage s,
        Rules memory rules,
        uint256 round,
        Settlement memory settlement
    ) private {
        uint256 n = round.get(Round.UPDATES);
        uint256[] memory rewards = settlement.trainers = DynamicArrayLib.malloc(n);
        bytes memory reputations = settlement.trainerReputations = Numbers.room(n);
        uint256 place = Ledger.placeOf(round.get(Round.WINDOW), 0) / 4;
        unchecked {
            // Safe: i < n, the length of both arrays.
            uint256 word;
            for (uint256 i = 0; i < n; ++i) {
                if (i % 4 == 0) word = s.results[place + i / 4];
                uint256 result = word.lane(i % 4, 64);
                uint256 id = result.get(Result.ID);
                uint256 merit = s.meritOf(id);
                uint256 reward;
                uint256 verdict = result.get(Result.VERDICT);
                if (verdict == Tally.PAID) {
                    (merit, reward) = _payTrainer(settlement, merit, result.get(Result.SHARE));
                } else {
                    merit = _judgeTrainer(s, rules, round, settlement, merit, result);
                }
                s.setMerit(id, merit);
                rewards.set(i, reward);
                reputations.set(i, merit.get(Merit.REPUTATION));
            }
        }
    }

    /// @return The merit, to be stored.
    /// @return Its reward.
    function _payTrainer(
        Settlement memory settlement,
        uint256 merit,
        uint256 share
    ) private pure returns (uint256, uint256) {
        merit = merit.set(Merit.HISTORY, uint8(merit.get(Merit.HISTORY) << 1));
        merit = merit.set(Merit.REPUTATION, Reputation.afterPaid(merit.get(Merit.REPUTATION)));
        unchecked {
            // Safe: a pot is below 2^111 and a share at most PPM.
            return
                _credit(settlement, merit, (settlement.trainersPot * share) / (100 * Ledger.PPM));
        }
    }

    /// @dev An author that is not paid.
    /// @return The merit, to be stored.
    function _judgeTrainer(
        Ledger.State storage s,
        Rules memory rules,
        uint256 round,
        Settlement memory settlement,
        uint256 merit,
        uint256 result
    ) private returns (uint256) {
        uint256 history = uint8(merit.get(Merit.HISTORY) << 1);
        if (result.get(Result.VERDICT) == Tally.ACCEPTED) return merit.set(Merit.HISTORY, history);
        uint256 reputation = Reputation.afterRejected(merit.get(Merit.REPUTATION));
        history |= 1;
        bool isJailed = reputation < Reputation.JAIL || LibBit.popCount(history) >= MANY_REJECTIONS;
        bool isMalformed = result.get(Result.VERDICT) == Tally.MALFORMED_VERDICT;
        if (isJailed) (reputation, history) = (Reputation.START, 0);
        if (isJailed || isMalformed) {
            address trainer = s.participants[result.get(Result.ID)];
            _punishTrainer(s, rules, round, settlement, trainer, isJailed, isMalformed);
        }
        return merit.set(Merit.REPUTATION, reputation).set(Merit.HISTORY, history);
    }

    function _punishTrainer(
        Ledger.State storage s,
        Rules memory rules,
        uint256 round,
        Settlement memory settlement,
        address trainer,
        bool isJailed,
        bool isMalformed
    ) private {
        uint256 duty = s.duties[trainer];
        if (isJailed) {
            uint256 until = block.timestamp + rules.terms.get(Terms.JAIL_PERIOD);
            s.duties[trainer] = duty.set(Duty.JAILED_UNTIL, until);
            emit IFederation.Jailed(trainer, uint8(Ledger.TRAINER), until);
        }
        // One fault a window: who was slashed as a validator is not slashed again.
        uint256 seat = duty.get(Duty.SEAT);
        if (!isMalformed || (seat != 0 && Ledger.isIn(settlement.slashed, seat - 1))) return;
        IFederation.Fault fault = IFederation.Fault.MalformedUpdate;
        _slash(s, rules, trainer, round.get(Round.WINDOW), fault);
    }

    function _slash(
        Ledger.State storage s,
        Rules memory rules,
        address who,
        uint256 window,
        IFederation.Fault fault
    ) private {
        uint256 account = s.accounts[who];
        uint256 stake = account.get(Account.STAKE);
        uint256 minStake = rules.tariff.get(Tariff.MIN_STAKE);
        uint256 amount = (minStake * rules.terms.get(Terms.SLASH_PPM)) / Ledger.PPM;
        if (amount > stake) amount = stake;
        if (amount == 0) return;
        stake -= amount;
        s.stakes -= amount;
        s.slashed += amount;
        _storeStake(s, who, account.set(Account.STAKE, stake));
        if (stake < minStake) {
            uint256 duty = s.duties[who];
            s.duties[who] = duty.set(Duty.FLAGS, duty.get(Duty.FLAGS) | Duty.STAKE_SHORT);
        }
        emit IFederation.Slashed(who, window, fault, amount);
    }

    /// @dev Rounds down to whole units, up to what a lane holds; what is not credited stays in the pool.
    /// @return The merit or service, to be stored.
    /// @return The money credited.
    function _credit(
        Settlement memory settlement,
        uint256 merit,
        uint256 amount
    ) private pure returns (uint256, uint256) {
        unchecked {
            // Safe: a unit is not zero; a credit is at most MOST, and stays so; 48 times MOST is below 2^256.
            uint256 units = amount / settlement.creditUnit;
            uint256 room = Merit.MOST - merit.get(Merit.CREDIT);
            if (units > room) units = room;
            settlement.credited += units;
            return (merit + Words.put(Merit.CREDIT, units), units * settlement.creditUnit);
        }
    }
}
