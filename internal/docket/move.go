package docket

import (
	"strings"

	"proofhouse/internal/proofhouse"
)

// Kind names an act. It completes "may not …".
type Kind string

// The acts of the two tracks, of parties, and of releases.
const (
	KindOpen       Kind = "open the case"
	KindAccept     Kind = "take up the case"
	KindJoin       Kind = "add a member"
	KindLeave      Kind = "remove a member"
	KindAsk        Kind = "ask whether the model is covered"
	KindPlan       Kind = "plan the release to partners"
	KindLend       Kind = "lend the model for the review"
	KindEnd        Kind = "end a grant for the review"
	KindPause      Kind = "pause access"
	KindResume     Kind = "resume access"
	KindMoveWindow Kind = "move the end of the window"
	KindWithdraw   Kind = "withdraw"
	KindAnnounce   Kind = "announce a release"
	KindShare      Kind = "share with a partner"
	KindUnshare    Kind = "end a partner's grant"
	KindNameKey    Kind = "name a signing key"
	KindOffer      Kind = "offer terms"
	KindAgree      Kind = "agree to terms"
)

// The acts of evidence and determination.
const (
	KindRegister    Kind = "register criteria"
	KindCountersign Kind = "countersign criteria"
	KindStartRun    Kind = "start a run"
	KindFinishRun   Kind = "finish a run"
	KindAttach      Kind = "attach evidence from elsewhere"
	KindCite        Kind = "cite earlier evidence"
	KindConsult     Kind = "consult"
	KindAnswer      Kind = "answer a consultation"
	KindWaive       Kind = "waive a consultation"
	KindDetermine   Kind = "sign a determination"
	KindReconsider  Kind = "ask for reconsideration"
	KindAppoint     Kind = "appoint a tester"

	KindAdopt         Kind = "adopt evidence for its own use"
	KindFileReport    Kind = "file a report"
	KindPublishReport Kind = "publish a report"
)

// The acts of choosing partners that the body sponsors, and of the terms for partners.
const (
	KindPublish       Kind = "publish criteria for partners"
	KindAgreePartners Kind = "agree to criteria for partners"
	KindNominate      Kind = "nominate a partner"
	KindNominateList  Kind = "nominate the partners of a list"
	KindSponsor       Kind = "sponsor a partner"
	KindDecline       Kind = "decline to sponsor a partner"
	KindAppeal        Kind = "appeal for a partner"
	KindOfferPartners Kind = "offer terms to partners"
	KindAcceptTerms   Kind = "accept terms as a partner"
)

// The acts of what is sealed.
const (
	KindSeal     Kind = "seal an artifact"
	KindMakePart Kind = "make a compartment"
	KindHold     Kind = "place a legal hold"
	KindLift     Kind = "lift a legal hold"
	// An order is given by the house for whoever two others gave their word, and never by a request of its own.
	KindOrder     Kind = "order a destruction"
	KindDestroyed Kind = "record a destruction"
)

// Kinds are all acts, in the order of the page that lists them.
var Kinds = []Kind{
	KindOpen, KindAccept, KindJoin, KindLeave, KindAsk, KindPlan, KindLend, KindEnd, KindPause, KindResume, KindMoveWindow,
	KindWithdraw, KindAnnounce, KindShare, KindUnshare, KindNameKey, KindOffer, KindAgree,
	KindRegister, KindCountersign, KindStartRun, KindFinishRun, KindAttach, KindCite, KindConsult, KindAnswer, KindWaive, KindDetermine, KindReconsider, KindAppoint,
	KindAdopt, KindFileReport, KindPublishReport,
	KindPublish, KindAgreePartners, KindNominate, KindNominateList, KindSponsor, KindDecline, KindAppeal, KindOfferPartners, KindAcceptTerms,
	KindSeal, KindMakePart, KindHold, KindLift, KindOrder, KindDestroyed,
}

// Move says when an act is permitted. What besides depends on the act's own
// words is checked where it is carried out.
type Move struct {
	// By are the roles that may.
	By []proofhouse.Role
	// Engagement and Access are the states in which they may; nil is any.
	Engagement []Engagement
	Access     []Access
	// Withdrawn says that they may after the developer has withdrawn, too.
	Withdrawn bool
}

// Move is the row of the table of permitted moves for k; a kind that there is
// not has none.
func (k Kind) Move() Move {
	developer := []proofhouse.Role{proofhouse.Developer}
	registrar := []proofhouse.Role{proofhouse.Registrar}
	authority := []proofhouse.Role{proofhouse.Authority}
	undecided := []Engagement{Open, Reconsidering}
	switch k {
	case KindOpen:
		return Move{By: developer}
	case KindAccept:
		return Move{By: registrar}
	case KindJoin, KindLeave:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Registrar, proofhouse.Coordinator}, Withdrawn: true}
	case KindAsk:
		return Move{By: developer, Engagement: []Engagement{NotAsked}}
	case KindPlan:
		return Move{By: developer, Withdrawn: true}
	case KindLend:
		return Move{By: developer, Access: []Access{NoAccess, AccessOpen, AccessPaused}}
	case KindEnd:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Registrar, proofhouse.SecurityOfficer}, Withdrawn: true}
	case KindPause:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Registrar, proofhouse.SecurityOfficer}, Access: []Access{AccessOpen}}
	case KindResume:
		return Move{By: developer, Access: []Access{AccessPaused}}
	case KindMoveWindow:
		return Move{By: developer, Access: []Access{AccessOpen, AccessPaused}}
	case KindWithdraw:
		return Move{By: developer, Withdrawn: true}
	case KindAnnounce:
		return Move{By: developer, Withdrawn: true}
	case KindShare, KindUnshare:
		return Move{By: developer, Withdrawn: true}
	case KindNameKey:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Authority, proofhouse.Consultee, proofhouse.Adopter}}
	case KindOffer:
		return Move{By: developer}
	case KindAgree:
		return Move{By: registrar}
	case KindRegister:
		return Move{By: registrar, Engagement: []Engagement{NotAsked, Open}}
	case KindCountersign:
		return Move{By: developer}
	case KindStartRun:
		return Move{By: []proofhouse.Role{proofhouse.Evaluator, proofhouse.Tester}}
	case KindFinishRun:
		return Move{By: []proofhouse.Role{proofhouse.Evaluator, proofhouse.Tester}, Withdrawn: true}
	case KindAttach, KindSeal:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Registrar, proofhouse.Evaluator, proofhouse.Consultee, proofhouse.Tester}}
	case KindMakePart:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Registrar, proofhouse.SecurityOfficer}}
	case KindHold, KindLift:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Registrar, proofhouse.Authority, proofhouse.SecurityOfficer}, Withdrawn: true}
	case KindOrder, KindDestroyed:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Registrar, proofhouse.SecurityOfficer}, Withdrawn: true}
	case KindCite:
		return Move{By: []proofhouse.Role{proofhouse.Registrar, proofhouse.Evaluator, proofhouse.Tester}}
	case KindConsult:
		return Move{By: registrar, Engagement: undecided}
	case KindAnswer:
		return Move{By: []proofhouse.Role{proofhouse.Consultee}, Engagement: undecided}
	case KindWaive, KindDetermine:
		return Move{By: authority, Engagement: undecided}
	case KindReconsider:
		return Move{By: developer, Engagement: []Engagement{Determined}}
	case KindAppoint:
		return Move{By: registrar, Engagement: []Engagement{Reconsidering}}
	case KindAdopt:
		return Move{By: []proofhouse.Role{proofhouse.Consultee, proofhouse.Adopter}}
	case KindFileReport:
		return Move{By: []proofhouse.Role{proofhouse.Registrar, proofhouse.Evaluator}}
	case KindPublishReport:
		return Move{By: registrar}
	case KindPublish:
		return Move{By: []proofhouse.Role{proofhouse.Coordinator}}
	case KindAgreePartners:
		return Move{By: developer}
	case KindNominate, KindNominateList:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Coordinator}}
	case KindSponsor, KindDecline:
		return Move{By: []proofhouse.Role{proofhouse.Coordinator, proofhouse.Authority}}
	case KindAppeal:
		return Move{By: []proofhouse.Role{proofhouse.Developer, proofhouse.Partner}}
	case KindOfferPartners:
		return Move{By: developer, Withdrawn: true}
	case KindAcceptTerms:
		return Move{By: []proofhouse.Role{proofhouse.Partner}, Withdrawn: true}
	}
	return Move{}
}

// list is "a, b or c".
func list[T ~string](items []T) string {
	words := make([]string, len(items))
	for i, w := range items {
		words[i] = string(w)
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}
