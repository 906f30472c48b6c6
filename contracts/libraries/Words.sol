// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title How a federation's values lie in words of storage
/// @notice What is read and written together is one word. A field is a constant that says where it lies (shift) and how
/// wide it is; the libraries below list the fields of each kind of word.
/// @dev Who sets a field keeps the value within its width; where that is not plain from its meaning, the place that
/// sets it says why. With constant fields all of this folds into single shifts and masks.
library Words {
    /// @notice The field of a word.
    function get(uint256 word, uint256 field) internal pure returns (uint256) {
        return (word >> (field & 0xff)) & ((1 << (field >> 8)) - 1);
    }

    /// @notice The word with another value in a field.
    function set(uint256 word, uint256 field, uint256 value) internal pure returns (uint256) {
        uint256 shift = field & 0xff;
        return (word & ~(((1 << (field >> 8)) - 1) << shift)) | (value << shift);
    }

    /// @notice A value where it lies in its field, all else zero: for a word whose field is zero.
    function put(uint256 field, uint256 value) internal pure returns (uint256) {
        return value << (field & 0xff);
    }

    /// @notice The lane of `width` bits at `index`, counted from the bottom.
    function lane(uint256 word, uint256 index, uint256 width) internal pure returns (uint256) {
        unchecked {
            // Safe: a lane lies within the word, so index * width < 256.
            return (word >> (index * width)) & ((1 << width) - 1);
        }
    }

    /// @notice The word with another value in that lane.
    function withLane(
        uint256 word,
        uint256 index,
        uint256 width,
        uint256 value
    ) internal pure returns (uint256) {
        unchecked {
            uint256 shift = index * width; // safe: as above
            return (word & ~(((1 << width) - 1) << shift)) | (value << shift);
        }
    }
}

/// @dev All that a submission needs to know of the federation, with the open window's header.
library Now {
    uint256 internal constant VERSION = 0 | (32 << 8);
    uint256 internal constant OPEN = 32 | (32 << 8); // window
    uint256 internal constant JUDGING = 64 | (32 << 8); // window
    uint256 internal constant OPENED_AT = 96 | (40 << 8);
    uint256 internal constant UPDATES = 136 | (8 << 8);
    uint256 internal constant SIZE = 144 | (8 << 8); // K
    uint256 internal constant FLAGS = 152 | (8 << 8);
    uint256 internal constant CODECS = 160 | (16 << 8); // bit i: update i's root is dag-pb
    uint256 internal constant OUTCOMES = 176 | (16 << 8); // two bits a ring slot
    uint256 internal constant HASH = 192 | (64 << 8); // running, over the updates

    /// @dev All that outlives the open window.
    uint256 internal constant LASTING =
        uint256(type(uint96).max) | (uint256(0xffff) << 144) | (uint256(0xffff) << 176);

    // Flags.
    uint256 internal constant PAUSED = 1;
    uint256 internal constant CLOSED = 2;
}

/// @dev A sealed window's header.
library Header {
    uint256 internal constant OPENED_AT = 0 | (40 << 8);
    uint256 internal constant SEALED_AT = 40 | (40 << 8);
    uint256 internal constant UPDATES = 80 | (8 << 8);
    uint256 internal constant VOID = 88 | (8 << 8); // 1: sealed with too few updates
    uint256 internal constant CODECS = 96 | (16 << 8);
    uint256 internal constant HASH = 112 | (64 << 8);
}

/// @dev A participant as an author. The older of its last two updates counts back from the newer one, and is there
/// while OLDER_BACK is not 0.
library Duty {
    uint256 internal constant WINDOW = 0 | (32 << 8);
    uint256 internal constant BASE = 32 | (32 << 8);
    uint256 internal constant SAMPLES = 64 | (32 << 8);
    uint256 internal constant INDEX = 96 | (8 << 8);
    uint256 internal constant OLDER_BACK = 104 | (8 << 8); // windows
    uint256 internal constant OLDER_BASE_BACK = 112 | (16 << 8); // versions
    uint256 internal constant OLDER_SAMPLES = 128 | (32 << 8);
    uint256 internal constant OLDER_INDEX = 160 | (8 << 8);
    uint256 internal constant SEAT = 168 | (8 << 8); // one more than the seat; 0: none
    uint256 internal constant FLAGS = 176 | (8 << 8);
    uint256 internal constant ID = 184 | (24 << 8);
    uint256 internal constant JAILED_UNTIL = 208 | (40 << 8);

    /// @dev Which update it is.
    uint256 internal constant PLACE = uint256(type(uint32).max) | (uint256(0xff) << 96);
    /// @dev What does not change with a submission.
    uint256 internal constant STANDING = type(uint256).max << 168;

    // Flags.
    uint256 internal constant TRAINS = 1; // it is a trainer and not leaving
    uint256 internal constant STAKE_SHORT = 2;
}

/// @dev A participant as a staker.
library Account {
    uint256 internal constant STAKE = 0 | (96 << 8);
    uint256 internal constant EXIT_AT = 96 | (40 << 8);
    uint256 internal constant JAILED_UNTIL = 136 | (40 << 8); // as a validator
    uint256 internal constant ID = 176 | (24 << 8); // from 1; an address keeps it
    uint256 internal constant ROLES = 200 | (8 << 8);
    uint256 internal constant SEAT = 208 | (8 << 8); // one more than the seat; 0: none
}

/// @dev A seat; two to a word.
library Seat {
    uint256 internal constant ID = 0 | (24 << 8); // whose it is
    uint256 internal constant STAKE = 24 | (96 << 8);
    uint256 internal constant FLAGS = 120 | (8 << 8);

    // Flags.
    uint256 internal constant LEAVING = 1;
    uint256 internal constant JAILED = 2; // perhaps: Account.JAILED_UNTIL says until when
}

/// @dev The window being judged. A seat of the active set is in OWING until it reveals, and in COMMITTED from its
/// commitment (or direct reveal) on.
library Round {
    uint256 internal constant WINDOW = 0 | (32 << 8);
    uint256 internal constant TAG = 32 | (64 << 8);
    uint256 internal constant OWING = 96 | (32 << 8);
    uint256 internal constant COMMITTED = 128 | (32 << 8);
    uint256 internal constant ATTESTED = 160 | (32 << 8);
    uint256 internal constant DEADLINE = 192 | (40 << 8); // of the stage
    uint256 internal constant UPDATES = 232 | (5 << 8);
    uint256 internal constant CANDIDATES = 237 | (6 << 8); // distinct digests attested
    uint256 internal constant STAGE = 243 | (5 << 8);
    uint256 internal constant FEWEST = 248 | (8 << 8); // seats: fewer have no quorum for sure

    // Stages.
    uint256 internal constant IDLE = 0; // nothing is being judged
    uint256 internal constant COMMIT = 1;
    uint256 internal constant REVEAL = 2;
    uint256 internal constant ATTEST = 3;
    uint256 internal constant FINAL = 4; // a version; takes attestations until its end

    /// @notice The seats that judge the window.
    function active(uint256 round) internal pure returns (uint256) {
        return uint32((round >> 96) | (round >> 128));
    }

    /// @notice The seats that have revealed.
    function revealed(uint256 round) internal pure returns (uint256) {
        return uint32((round >> 128) & ~(round >> 96));
    }
}

/// @dev The reward money.
library Till {
    uint256 internal constant POOL = 0 | (104 << 8);
    uint256 internal constant CREDITS = 104 | (112 << 8);
    uint256 internal constant LAST_FINAL_SEALED_AT = 216 | (40 << 8);
}

/// @dev Who is in.
library Membership {
    uint256 internal constant PARTICIPANTS = 0 | (24 << 8); // ids given
    uint256 internal constant TRAINERS = 24 | (24 << 8);
    uint256 internal constant SEATS = 48 | (32 << 8); // bitmap
    uint256 internal constant CHALLENGER = 80 | (160 << 8); // an address
    uint256 internal constant MOVING = 240 | (8 << 8); // 1: a seat may change hands at the next boundary
}

/// @dev What a participant has earned as a trainer; four to a word.
library Merit {
    uint256 internal constant CREDIT = 0 | (36 << 8); // in units
    uint256 internal constant REPUTATION = 36 | (20 << 8);
    uint256 internal constant HISTORY = 56 | (8 << 8); // the last verdicts, latest at the bottom; 1: rejected

    uint256 internal constant MOST = 2 ** 36 - 1; // units
}

/// @dev What a participant has earned as a validator; four to a word.
library Service {
    uint256 internal constant CREDIT = Merit.CREDIT;
    uint256 internal constant REPUTATION = 36 | (20 << 8);
    uint256 internal constant MISSED = 56 | (8 << 8); // windows in a row

    uint256 internal constant ASLEEP = 2; // windows missed
}

/// @dev What became of an update; six to a word.
library Result {
    uint256 internal constant ID = 0 | (20 << 8); // the author's
    uint256 internal constant SHARE = 20 | (20 << 8);
    uint256 internal constant VERDICT = 40 | (2 << 8); // less one: a tally leaves none unjudged

    uint256 internal constant WIDTH = 42;
    uint256 internal constant PER_WORD = 6;
}

/// @dev An update's author, as the tally has it.
library Author {
    uint256 internal constant ID = 0 | (24 << 8);
    uint256 internal constant REPUTATION = 24 | (24 << 8); // as a trainer, ppm
    uint256 internal constant SAMPLES = 48 | (32 << 8); // as declared
    uint256 internal constant STALENESS = 80 | (32 << 8); // versions
    uint256 internal constant SEAT = 112 | (8 << 8); // one more than its seat in the active set; 0: none
    uint256 internal constant WEIGHT = 120 | (104 << 8); // of that seat
}

/// @dev How a validator's agreement lies in its lane of 32 bits: plus a bias, so that no lane of a seat that revealed is
/// zero.
library Agreement {
    int256 internal constant BIAS = 2e6;
    uint256 internal constant NONE = 1;
    uint256 internal constant NONES = (type(uint256).max / type(uint32).max) * NONE; // in every lane
    uint256 internal constant OVERRULED = 2;
}

/// @dev What of a federation's parameters judging depends on: all but money.
library Terms {
    uint256 internal constant COMMIT_PERIOD = 0 | (32 << 8);
    uint256 internal constant REVEAL_PERIOD = 32 | (32 << 8);
    uint256 internal constant ATTEST_PERIOD = 64 | (32 << 8);
    uint256 internal constant JAIL_PERIOD = 96 | (32 << 8);
    uint256 internal constant SLASH_PPM = 128 | (32 << 8);
    uint256 internal constant MIN_VALIDATORS = 160 | (8 << 8);
    uint256 internal constant TRUST_SAMPLES = 168 | (8 << 8);
    uint256 internal constant FLOOR = 176 | (16 << 8); // how far below zero a score may be
}

/// @dev The money among them.
library Tariff {
    uint256 internal constant MIN_STAKE = 0 | (96 << 8);
    uint256 internal constant REWARD_RATE = 96 | (96 << 8);
}

/// @dev The parameters that judging depends on.
struct Rules {
    uint256 terms; // Terms
    uint256 tariff; // Tariff
}
