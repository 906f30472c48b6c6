// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";

import {IFederation} from "../IFederation.sol";
import {Ledger} from "./Ledger.sol";
import {Numbers} from "./Numbers.sol";
import {Reputation} from "./Reputation.sol";
import {Seats} from "./Seats.sol";
import {Tally} from "./Tally.sol";
import {Turns} from "./Turns.sol";
import {
    Account,
    Agreement,
    Duty,
    Header,
    Membership,
    Merit,
    Now,
    Result,
    Round,
    Rules,
    Seat,
    Service,
    Tariff,
    Terms,
    Till,
    Words
} from "./Words.sol";

/// @title What a window's end brings: reputations, rewards, jail and slashes, each once
library Settling {
    using DynamicArrayLib for uint256[];
    using Ledger for Ledger.State;
    using Numbers for bytes;
    using Words for uint256;

    uint256 internal constant TRAINERS_PERCENT = 70; // of a reward
    uint256 internal constant VALIDATORS_PERCENT = 30;
    uint256 private constant MANY_REJECTIONS = 3; // of eight

    /// @dev What a window's end brings to those who had a part in it.
    struct Settlement {
        Rules rules;
        uint256 round; // Round
        bool isTallied; // and the tally counts
        bool isFinal;
        uint256 attestersDue; // seats that should have attested
        uint256 attestersWrong; // seats that attested another digest than more than half of the weight
        uint256 trainersPot; // money, times 100 PPM
        uint256 validatorsPot; // money, times 100 PPM
        uint256 creditUnit; // money
        uint256 trainersUnit; // of trainersPot times a share, for one unit
        uint256 validatorsUnit; // of validatorsPot times a weight times a part, likewise
        uint256 credited; // units given
        uint256 missed; // seats that missed the window, or attested against a majority
        uint256 slashed; // seats
        uint256 totalWeight; // of the active set, where there is a reward
        uint256[] trainers; // money
        bytes trainerReputations; // Numbers
        uint256[] validators; // money
        bytes validatorReputations; // Numbers
        uint256 lows; // seats whose reputation is too low
    }

    function settle(
        Ledger.State storage s,
        Rules memory rules,
        uint256 round,
        Settlement memory settlement
    ) internal {
        uint256 window = round.get(Round.WINDOW);
        (settlement.rules, settlement.round) = (rules, round);
        settlement.creditUnit = rules.tariff.get(Tariff.MIN_STAKE) / Ledger.PPM;
        settlement.trainersUnit = 100 * Ledger.PPM * settlement.creditUnit;
        settlement.validatorsUnit = settlement.trainersUnit * settlement.totalWeight;
        _settleValidators(s, settlement);
        if (settlement.isTallied) _settleTrainers(s, settlement);
        uint256 outcome = round.get(Round.STAGE) < Round.ATTEST ? Ledger.UNTALLIED : Ledger.TALLIED;
        if (settlement.isFinal) {
            outcome = Ledger.FINAL;
            uint256 till = s.till;
            uint256 credited = settlement.credited * settlement.creditUnit;
            till = till.set(Till.POOL, till.get(Till.POOL) - credited);
            till = till.set(Till.CREDITS, till.get(Till.CREDITS) + credited);
            s.till = till.set(Till.LAST_FINAL_SEALED_AT, sealedAt(s, round));
        }
        emit IFederation.WindowSettled(
            window,
            settlement.isFinal,
            settlement.trainers,
            settlement.trainerReputations,
            settlement.validators,
            settlement.validatorReputations
        );
        s.now_ = Turns.end(s.now_, window, outcome).set(Now.JUDGING, window + 1);
        Turns.begin(s, rules);
    }

    function sealedAt(Ledger.State storage s, uint256 round) internal view returns (uint256) {
        return s.headers[round.get(Round.WINDOW) % Ledger.RING].get(Header.SEALED_AT);
    }

    function _settleValidators(Ledger.State storage s, Settlement memory settlement) private {
        uint256 round = settlement.round;
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
            // Safe: k counts the n active seats. A word is read at its first seat, and its lanes go by with the seats.
            (uint256 k, uint256 seats, uint256 agreements, uint256 weights) = (0, 0, 0, 0);
            for (uint256 seat = 0; active >> seat != 0; ++seat) {
                if (seat % 8 == 0) (agreements, weights) = _standings(s, settlement, seat / 8);
                if (seat % 2 == 0) seats = s.seats[seat / 2];
                if (Ledger.isIn(active, seat)) {
                    uint256 id = seats.get(Seat.ID);
                    uint256 agreement = uint32(agreements);
                    _settleValidator(s, settlement, seat, k++, id, agreement, uint32(weights));
                }
                (seats, agreements, weights) = (seats >> 128, agreements >> 32, weights >> 32);
            }
        }
        if (settlement.lows != 0) _jailValidators(s, active, settlement);
    }

    /// @dev Of eight seats, as far as they count.
    function _standings(
        Ledger.State storage s,
        Settlement memory settlement,
        uint256 word
    ) private view returns (uint256 agreements, uint256 weights) {
        agreements = settlement.isTallied ? s.agreements[word] : Agreement.NONES;
        if (settlement.validatorsPot != 0) weights = s.weights[word];
    }

    /// @param k Its index among the active.
    function _settleValidator(
        Ledger.State storage s,
        Settlement memory settlement,
        uint256 seat,
        uint256 k,
        uint256 id,
        uint256 agreement,
        uint256 weight
    ) private {
        uint256 services = s.servicesBeside(id);
        uint256 service = services.lane(id % 4, 64);
        uint256 reward;
        if (Ledger.isIn(settlement.missed, seat) || agreement == Agreement.OVERRULED) {
            service = _miss(s, settlement, seat, id, service);
        } else {
            if (service.get(Service.MISSED) != 0) service = _wake(s, id, service);
            (service, reward) = _serve(settlement, service, agreement, weight);
        }
        s.setServicesBeside(id, services.withLane(id % 4, 64, service));
        if (Ledger.isIn(settlement.slashed, seat)) _slashValidator(s, settlement, seat, id);
        uint256 reputation = service.get(Service.REPUTATION);
        if (reputation < Reputation.JAIL) settlement.lows |= 1 << seat;
        settlement.validatorReputations.set(k, reputation);
        settlement.validators.set(k, reward);
    }

    /// @dev A validator that missed the window, or was against a majority. Only who was away can fall asleep: else a
    /// majority could send the others to sleep, and be all that is left.
    /// @return The service, to be stored.
    function _miss(
        Ledger.State storage s,
        Settlement memory settlement,
        uint256 seat,
        uint256 id,
        uint256 service
    ) private returns (uint256) {
        uint256 reputation = Reputation.afterMissed(service.get(Service.REPUTATION));
        service = service.set(Service.REPUTATION, reputation);
        if (!_isAbsent(settlement, seat)) return _wake(s, id, service);
        uint256 missed = service.get(Service.MISSED);
        if (missed < Service.ASLEEP && ++missed == Service.ASLEEP)
            emit IFederation.FellAsleep(s.participants[id], settlement.round.get(Round.WINDOW));
        return service.set(Service.MISSED, missed);
    }

    /// @dev A validator that was there.
    /// @return The service, to be stored.
    function _wake(Ledger.State storage s, uint256 id, uint256 service) private returns (uint256) {
        if (service.get(Service.MISSED) == Service.ASLEEP)
            emit IFederation.Woke(s.participants[id]);
        return service.set(Service.MISSED, 0);
    }

    /// @dev Whether a validator owes the window something.
    function _isAbsent(
        Settlement memory settlement,
        uint256 seat
    ) private pure returns (bool isAbsent) {
        uint256 round = settlement.round;
        uint256 silent = settlement.attestersDue & ~round.get(Round.ATTESTED);
        return Ledger.isIn(round.get(Round.OWING) | silent, seat);
    }

    /// @dev A validator that did its part.
    /// @return The service, to be stored.
    /// @return Its reward.
    function _serve(
        Settlement memory settlement,
        uint256 service,
        uint256 stored,
        uint256 weight
    ) private pure returns (uint256, uint256) {
        uint256 part = Ledger.PPM / 2;
        unchecked {
            // Safe: a pot is below 2^111, a weight below 2^32, a part at most PPM; an agreement lies within PPM of BIAS;
            // there is no pot without weight.
            if (stored != Agreement.NONE) {
                int256 agreement = int256(stored) - Agreement.BIAS;
                uint256 reputation = service.get(Service.REPUTATION);
                reputation = Reputation.afterAgreement(reputation, agreement);
                service = service.set(Service.REPUTATION, reputation);
                part = agreement < 0 ? 0 : uint256(agreement);
            }
            if (settlement.validatorsPot == 0) return (service, 0);
            uint256 units = (settlement.validatorsPot * weight * part) / settlement.validatorsUnit;
            return _credit(settlement, service, units);
        }
    }

    function _slashValidator(
        Ledger.State storage s,
        Settlement memory settlement,
        uint256 seat,
        uint256 id
    ) private {
        // Who committed to nothing may attest, too: then it is only for that.
        uint256 unrevealed =
            settlement.round.get(Round.OWING) & settlement.round.get(Round.COMMITTED);
        IFederation.Fault fault =
            Ledger.isIn(unrevealed, seat)
                ? IFederation.Fault.CommittedNotRevealed
                : IFederation.Fault.WrongAttestation;
        _slash(s, settlement, s.participants[id], fault);
    }

    /// @dev Those whose reputation is too low, as far as enough validators remain. Reputations are listed again, as
    /// jail changes them.
    function _jailValidators(
        Ledger.State storage s,
        uint256 active,
        Settlement memory settlement
    ) private {
        Rules memory rules = settlement.rules;
        uint256 able = _awake(s, rules.tariff.get(Tariff.MIN_STAKE));
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

    /// @dev The seats of those who can judge, and do not sleep.
    function _awake(Ledger.State storage s, uint256 minStake) private view returns (uint256 awake) {
        uint256 seats = s.membership.get(Membership.SEATS);
        for (uint256 seat = 0; seats >> seat != 0; ++seat) {
            if (!Ledger.isIn(seats, seat)) continue;
            uint256 value = s.seatAt(seat);
            uint256 missed = s.serviceOf(value.get(Seat.ID)).get(Service.MISSED);
            if (missed < Service.ASLEEP && Seats.canJudge(s, value, minStake)) awake |= 1 << seat;
        }
    }

    function _jailValidator(Ledger.State storage s, uint256 seat, uint256 until) private {
        uint256 id = s.seatAt(seat).get(Seat.ID);
        address validator = s.participants[id];
        s.accounts[validator] = s.accounts[validator].set(Account.JAILED_UNTIL, until);
        uint256 service = s.serviceOf(id).set(Service.MISSED, 0);
        s.setService(id, service.set(Service.REPUTATION, Reputation.START));
        Seats.raise(s, seat, Seat.JAILED);
        emit IFederation.Jailed(validator, uint8(Ledger.VALIDATOR), until);
    }

    function _settleTrainers(Ledger.State storage s, Settlement memory settlement) private {
        uint256 n = settlement.round.get(Round.UPDATES);
        settlement.trainers = DynamicArrayLib.malloc(n);
        settlement.trainerReputations = Numbers.room(n);
        uint256 place = Ledger.resultsOf(settlement.round.get(Round.WINDOW));
        unchecked {
            // Safe: i < n <= 16, the length of both arrays.
            uint256 results;
            for (uint256 i = 0; i < n; ++i) {
                if (i % Result.PER_WORD == 0) results = s.results[place + i / Result.PER_WORD];
                _settleTrainer(s, settlement, i, results);
                results >>= Result.WIDTH;
            }
        }
    }

    /// @param result Its lane at the bottom.
    function _settleTrainer(
        Ledger.State storage s,
        Settlement memory settlement,
        uint256 i,
        uint256 result
    ) private {
        uint256 id = result.get(Result.ID);
        uint256 merits = s.meritsBeside(id);
        uint256 merit = merits.lane(id % 4, 64);
        uint256 reward;
        if (result.get(Result.VERDICT) == Tally.PAID - 1) {
            (merit, reward) = _payTrainer(settlement, merit, result.get(Result.SHARE));
        } else {
            merit = _judgeTrainer(s, settlement, merit, result);
        }
        s.setMeritsBeside(id, merits.withLane(id % 4, 64, merit));
        settlement.trainers.set(i, reward);
        settlement.trainerReputations.set(i, merit.get(Merit.REPUTATION));
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
            // Safe: a pot is below 2^111 and a share at most PPM; a unit is not zero.
            uint256 units = (settlement.trainersPot * share) / settlement.trainersUnit;
            return _credit(settlement, merit, units);
        }
    }

    /// @dev An author that is not paid.
    /// @return The merit, to be stored.
    function _judgeTrainer(
        Ledger.State storage s,
        Settlement memory settlement,
        uint256 merit,
        uint256 result
    ) private returns (uint256) {
        uint256 history = uint8(merit.get(Merit.HISTORY) << 1);
        uint256 verdict = result.get(Result.VERDICT) + 1;
        if (verdict == Tally.ACCEPTED) return merit.set(Merit.HISTORY, history);
        uint256 reputation = Reputation.afterRejected(merit.get(Merit.REPUTATION));
        history |= 1;
        bool isJailed = reputation < Reputation.JAIL || LibBit.popCount(history) >= MANY_REJECTIONS;
        bool isMalformed = verdict == Tally.MALFORMED_VERDICT;
        if (isJailed) (reputation, history) = (Reputation.START, 0);
        if (isJailed || isMalformed) {
            address trainer = s.participants[result.get(Result.ID)];
            _punishTrainer(s, settlement, trainer, isJailed, isMalformed);
        }
        return merit.set(Merit.REPUTATION, reputation).set(Merit.HISTORY, history);
    }

    function _punishTrainer(
        Ledger.State storage s,
        Settlement memory settlement,
        address trainer,
        bool isJailed,
        bool isMalformed
    ) private {
        uint256 duty = s.duties[trainer];
        if (isJailed) {
            uint256 until = block.timestamp + settlement.rules.terms.get(Terms.JAIL_PERIOD);
            s.duties[trainer] = duty.set(Duty.JAILED_UNTIL, until);
            emit IFederation.Jailed(trainer, uint8(Ledger.TRAINER), until);
        }
        // One fault a window: who was slashed as a validator is not slashed again.
        uint256 seat = duty.get(Duty.SEAT);
        if (!isMalformed || (seat != 0 && Ledger.isIn(settlement.slashed, seat - 1))) return;
        _slash(s, settlement, trainer, IFederation.Fault.MalformedUpdate);
    }

    function _slash(
        Ledger.State storage s,
        Settlement memory settlement,
        address who,
        IFederation.Fault fault
    ) private {
        Rules memory rules = settlement.rules;
        uint256 account = s.accounts[who];
        uint256 stake = account.get(Account.STAKE);
        uint256 minStake = rules.tariff.get(Tariff.MIN_STAKE);
        uint256 amount = (minStake * rules.terms.get(Terms.SLASH_PPM)) / Ledger.PPM;
        if (amount > stake) amount = stake;
        if (amount == 0) return;
        stake -= amount;
        s.stakes -= amount;
        s.slashed += amount;
        Seats.storeStake(s, who, account.set(Account.STAKE, stake));
        if (stake < minStake) {
            uint256 duty = s.duties[who];
            s.duties[who] = duty.set(Duty.FLAGS, duty.get(Duty.FLAGS) | Duty.STAKE_SHORT);
        }
        emit IFederation.Slashed(who, settlement.round.get(Round.WINDOW), fault, amount);
    }

    /// @dev Up to what a lane holds; what is not credited stays in the pool.
    /// @return The merit or service, to be stored.
    /// @return The money credited.
    function _credit(
        Settlement memory settlement,
        uint256 merit,
        uint256 units
    ) private pure returns (uint256, uint256) {
        unchecked {
            // Safe: a credit is at most MOST, and stays so; 48 times MOST is below 2^256.
            uint256 room = Merit.MOST - merit.get(Merit.CREDIT);
            if (units > room) units = room;
            settlement.credited += units;
            return (merit + Words.put(Merit.CREDIT, units), units * settlement.creditUnit);
        }
    }
}
