/// The safety rules, by name, so that each can be broken on purpose: a proof that the simulation would notice.
///
/// Only a build with `BREAKABLE_RULES` can break one. In every other build, the product's included, `isKept` is the
/// constant true, and no switch exists.
package enum Rule: String, CaseIterable, Sendable {
    // Clocks.
    case windowsCountTheLargestDifference
    case waitsCountTheSmallerDifference
    case rawClockIsRead
    case rawClockCountsSuspends
    case clockRatesAreBounded
    // The holder.
    case windowRunsFromSendTime
    case readBackCountsTheAttemptsSendTime
    case lapsedForGood
    case claimInFlightIsBornLapsed
    case unclearIsNotFailed
    case unclearIsNotDone
    case deposedStops
    case durationIsDeclaredFirst
    case commitMarginIsKept
    case unshownClaimHasLapsed
    case termGrows
    // Grants.
    case grantRunsFromAsking
    case grantEndsWithTheWindow
    case grantEndsAfterGrantDuration
    case grantDurationIncludesTheMargin
    // Giving back.
    case freeingWaitsForGrants
    case freeingLapsedWaitsForGrants
    case stoppingWaitsForGrants
    case shorteningWaitsForGrants
    case shorterIsHonouredAtOnce
    // What an incarnation inherits.
    case stoppingWaitsForInherited
    case handoverHandsOnInherited
    case handoverCarriesGrants
    case inheritedIsTheMembersQuiet
    case freeingWaitsForPredecessor
    case reclaimedStaysInherited
    case inheritedDurationIsCarried
    case ownRecordIsReadAgain
    case uidTellsClustersApart
    // The taker.
    case memberIsReadAfterLease
    case silenceEndsWhenTheReadWasSent
    case absenceCountsFromTheLease
    case deletedIsNotFree
    case termOutlivesDeletion
    // The store.
    case leaseWritesAreConditional
    case memberWritesAreConditional

    #if BREAKABLE_RULES
        /// The rule that this process breaks. Set once, before any elector exists, and only read from then on.
        nonisolated(unsafe) package static var broken: Rule?
        @inline(__always) package var isKept: Bool { unsafe self != Rule.broken }
    #else
        @inline(__always) package var isKept: Bool { true }
    #endif
}
