package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/clearing"
	"proofhouse/internal/ledger"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// Clearing is what the house knows of findings. Whether who asks may has been checked.
type Clearing interface {
	clearing.Store
	// Submit takes a report in, and gives the event's place. What it brings by digest must be its organisation's.
	Submit(ctx context.Context, by proofhouse.Actor, r clearing.Report, key string, now time.Time) (clearing.Project, int, error)
	// Find is the project in which a finding, a patch or a packet is, and the place of the event that brought it.
	Find(ctx context.Context, id string) (clearing.Project, int, error)
	// Findings are findings, the newest first, of an organisation or, if that is "", all: those after a place, and where the next begin.
	Findings(ctx context.Context, by proofhouse.OrganisationID, after string, limit int) (all []Listed, next string, err error)
	// Projects are the projects after one of them, and where the next begin.
	Projects(ctx context.Context, after string, limit int) (purls []string, next string, err error)
	// File opens, and Keep keeps, a file of a project.
	File(ctx context.Context, purl string, d proofhouse.Digest) ([]byte, error)
	Keep(ctx context.Context, purl string, b []byte) (proofhouse.Digest, error)
	// Packet is what a packet of a cluster would be: its text, and the archive that goes with it.
	Packet(ctx context.Context, p clearing.Project, c clearing.Cluster, contact string) (text, archive []byte, patch clearing.PatchID, err error)
	// Commitment is the leaf of an event, and Logged its receipt once the public log has it.
	Commitment(ctx context.Context, purl string, seq int) (ledger.Waiting, error)
	Logged(ctx context.Context, purl string, seq int) ([]byte, error)
}

// Listed is a finding in its project.
type Listed struct {
	Project clearing.Project
	Finding clearing.Finding
}

const (
	// maxReport bounds a report with its files in base64, in bytes.
	maxReport = 48 << 20
	// largeReports is how many reports of more than maxBody are read at once.
	largeReports = 2
)

// FindingIn names a finding.
type FindingIn struct {
	Credential
	Finding clearing.FindingID `path:"finding" maxLength:"100"`
}

// PacketIn names a packet.
type PacketIn struct {
	Credential
	Packet clearing.PacketID `path:"packet" maxLength:"100"`
}

type findingOut struct{ Body wire.FindingView }

type packetOut struct{ Body wire.PacketView }

type clusterOut struct{ Body wire.ClusterView }

type projectOut struct{ Body wire.ProjectView }

// findings adds the endpoints of findings, projects and packets.
func (s server) findings() {
	s.intake()
	type listIn struct {
		Credential
		State   clearing.State `query:"state" enum:"waiting,confirmed,not_reproduced,inconclusive,out_of_threat_model,infrastructure,withdrawn" doc:"one state; all without it"`
		Project string         `query:"project" maxLength:"512" doc:"a package URL without a version"`
		After   string         `query:"after" maxLength:"200" doc:"where the page before ended (next)"`
		Limit   int            `query:"limit" minimum:"1" maximum:"200" default:"50"`
	}
	add(s, operation{method: "GET", path: "/v1/findings", id: "findings-list", summary: "The findings that you may see, the newest first"},
		func(ctx context.Context, who policy.Person, in listIn) (*struct{ Body wire.FindingLines }, error) {
			lines, err := s.findingLines(ctx, who, in.State, in.Project, in.After, in.Limit)
			return &struct{ Body wire.FindingLines }{lines}, err
		})
	add(s, operation{method: "GET", path: "/v1/findings/{finding}", id: "findings-show", summary: "A finding and what became of it"},
		func(ctx context.Context, who policy.Person, in FindingIn) (*findingOut, error) {
			p, f, _, err := s.finding(ctx, who, in.Finding, policy.ViewFinding)
			if err != nil {
				return nil, err
			}
			return &findingOut{s.findingView(who, p, f)}, nil
		})
	type fileIn struct {
		FindingIn
		Digest proofhouse.Digest `path:"digest" maxLength:"71"`
	}
	add(s, operation{
		media: "application/octet-stream", method: "GET", path: "/v1/findings/{finding}/files/{digest}", id: "findings-file", summary: "A file of a finding, or the statement of a reproduction",
	}, func(ctx context.Context, who policy.Person, in fileIn) (*fileOut, error) {
		p, f, _, err := s.finding(ctx, who, in.Finding, policy.ViewFinding)
		if err != nil {
			return nil, err
		}
		statement := slices.ContainsFunc(f.Attempts, func(a clearing.AttemptRecord) bool { return a.Statement != "" && a.Statement == in.Digest })
		if !statement {
			if err := s.Guard.Check(policy.Principal{Person: who}, policy.ReadProof, resource(f)); err != nil {
				return nil, err
			}
			if !f.Files.Has(in.Digest) {
				return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "the finding has no such file")
			}
		}
		b, err := s.Clearing.File(ctx, p.Purl, in.Digest)
		return &fileOut{Type: "application/octet-stream", Body: b}, err
	})
	add(s, operation{
		media: "text/plain", method: "GET", path: "/v1/findings/{finding}/receipt", id: "findings-receipt", summary: "A receipt of the public log for a finding",
		description: "Shows that the house came to know of it then (c2sp.org/tlog-proof).",
	}, func(ctx context.Context, who policy.Person, in FindingIn) (*fileOut, error) {
		p, _, seq, err := s.finding(ctx, who, in.Finding, policy.ViewFinding)
		if err != nil {
			return nil, err
		}
		b, err := s.Clearing.Logged(ctx, p.Purl, seq)
		return &fileOut{Type: "text/plain", Body: b}, err
	})
	type withdrawIn struct {
		FindingIn
		Body nothing
	}
	add(s, operation{method: "POST", path: "/v1/findings/{finding}/withdraw", id: "findings-withdraw", summary: "Take a finding back, as its finder"},
		func(ctx context.Context, who policy.Person, in withdrawIn) (*findingOut, error) {
			p, f, _, err := s.finding(ctx, who, in.Finding, policy.TakeBackFinding)
			if err != nil {
				return nil, err
			}
			if p, err = s.change(ctx, p.Purl, clearing.Event{By: finder(who), Act: clearing.Withdraw{Finding: f.ID}}); err != nil {
				return nil, err
			}
			if f, err = p.Finding(f.ID); err != nil {
				return nil, err
			}
			return &findingOut{s.findingView(who, p, f)}, nil
		})
	type retryIn struct {
		FindingIn
		Body wire.NewRetry
	}
	add(s, operation{
		method: "POST", path: "/v1/findings/{finding}/retry", id: "findings-retry", summary: "Have a finding tried again that is not confirmed", description: "For coordinators: after an error of the house's, or when the project's threat model has changed.",
	}, func(ctx context.Context, who policy.Person, in retryIn) (*findingOut, error) {
		a := clearing.Retry{Finding: in.Finding, Reason: in.Body.Reason}
		p, err := s.coordinated(ctx, who, "finding", string(in.Finding), policy.Coordinate(clearing.NameOf(a)))
		if err != nil {
			return nil, err
		}
		if p, err = s.change(ctx, p.Purl, clearing.Event{By: coordinator(who), Act: a}); err != nil {
			return nil, err
		}
		f, err := p.Finding(in.Finding)
		if err != nil {
			return nil, err
		}
		return &findingOut{s.findingView(who, p, f)}, nil
	})
	add(s, operation{
		method: "POST", path: "/v1/findings/{finding}/patches", id: "findings-patch", summary: "Offer a patch for a confirmed finding", status: http.StatusCreated,
		description: "The house holds it to every proof of the bug, their variations and the project's tests.",
	}, s.offerPatch)
	s.clusters()
	s.projects()
	s.packets()
	s.links()
	s.maintainer()
}

// intake adds the endpoints of the field's intake API.
func (s server) intake() {
	type reportIn struct {
		Credential
		Repeat
		Body clearing.Report
	}
	type reportOut struct {
		Link string `header:"Link"`
		Body wire.Accepted
	}
	op := s.operation(operation{
		method: "POST", path: "/v1/reports", id: "reports-submit", summary: "Bring a finding", status: http.StatusAccepted,
		description: "Takes the report object of TAP with its attachments, as JSON. The receipt has the time of awareness, the marking and the commitment by which the public log holds the house to it. " +
			"The same report sent again within two days is not taken twice. A machine reproduces it, or it goes nowhere.",
	})
	op.Security = []map[string][]string{{"token": {}}}
	op.MaxBodyBytes, op.BodyReadTimeout = maxReport, 5*time.Minute
	op.Middlewares = huma.Middlewares{s.tokenFirst, s.oneByOne()}
	huma.Register(s.api, op, func(ctx context.Context, in *reportIn) (*reportOut, error) {
		who, err := s.who(ctx, in)
		if err != nil {
			return nil, err
		}
		out, err := s.submit(ctx, who, in.Body, in.Key)
		if err != nil {
			return nil, fail(err)
		}
		return &reportOut{"</v1/submissions/" + out.Receipt + `>; rel="monitor"`, out}, nil
	})
	type submissionIn struct {
		Credential
		Receipt clearing.FindingID `path:"receipt" maxLength:"100"`
	}
	add(s, operation{method: "GET", path: "/v1/submissions/{receipt}", id: "reports-status", summary: "Where a report stands"},
		func(ctx context.Context, who policy.Person, in submissionIn) (*struct{ Body wire.Submission }, error) {
			_, f, _, err := s.finding(ctx, who, in.Receipt, policy.ViewFinding)
			if err != nil {
				return nil, err
			}
			out := wire.Submission{Receipt: string(f.ID), State: f.State(), At: f.Aware, Status: "done"}
			if last := f.Last(); len(f.Attempts) > 0 {
				out.At, out.Reason = last.At, last.Reason
			}
			switch {
			case out.State == clearing.Withdrawn:
				out.At = f.Withdrawn
			case out.State == clearing.Waiting && len(f.Attempts) > 0:
				out.Status = "processing"
			case out.State == clearing.Waiting:
				out.Status = "queued"
			}
			return &struct{ Body wire.Submission }{out}, nil
		})
}

// oneByOne lets few large requests through at once, and of one organisation one, so that who is slow in sending holds up nobody else. The rest wait for
// their turn, and are not read meanwhile.
func (s server) oneByOne() func(huma.Context, func(huma.Context)) {
	turns := make(chan struct{}, largeReports)
	var mu sync.Mutex
	sending := map[proofhouse.OrganisationID]bool{}
	return func(ctx huma.Context, next func(huma.Context)) {
		if size, err := strconv.ParseInt(ctx.Header("Content-Length"), 10, 64); err == nil && size <= maxBody {
			next(ctx)
			return
		}
		who, err := s.who(ctx.Context(), Credential{ctx.Header("Authorization")})
		if err != nil {
			refuse(ctx, err)
			return
		}
		mu.Lock()
		busy := sending[who.Organisation]
		sending[who.Organisation] = true
		mu.Unlock()
		if busy {
			refuse(ctx, fail(proofhouse.Errorf(proofhouse.Limit, nil, "a large report of your organisation is being read: send the next when it is through")))
			return
		}
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			delete(sending, who.Organisation)
		}()
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			next(ctx)
		case <-ctx.Context().Done():
		}
	}
}

func (s server) submit(ctx context.Context, who policy.Person, r clearing.Report, key string) (wire.Accepted, error) {
	if err := s.Guard.Check(policy.Principal{Person: who}, policy.SubmitFinding, policy.House{}); err != nil {
		return wire.Accepted{}, err
	}
	p, seq, err := s.Clearing.Submit(ctx, finder(who), r, key, s.Now())
	if err != nil {
		return wire.Accepted{}, err
	}
	s.Wake()
	w, err := s.Clearing.Commitment(ctx, p.Purl, seq)
	if err != nil {
		return wire.Accepted{}, err
	}
	i := slices.IndexFunc(p.Findings, func(f clearing.Finding) bool { return f.Seq == seq })
	if i < 0 {
		return wire.Accepted{}, proofhouse.Errorf(proofhouse.Internal, nil, "the receipt is not there")
	}
	f := p.Findings[i]
	return wire.Accepted{
		Receipt: string(f.ID), Message: "accepted; poll /v1/submissions/{receipt} for status", Project: p.Purl, Aware: f.Aware, Marking: f.Claim.Marking,
		Seq: seq, Commitment: hex.EncodeToString(w.Commitment[:]),
	}, nil
}

// finder is who brings something, for no body and in no case.
func finder(who policy.Person) proofhouse.Actor {
	return proofhouse.Actor{Organisation: who.Organisation, Person: who.ID}
}

// coordinator is who acts for the house.
func coordinator(who policy.Person) proofhouse.Actor {
	return proofhouse.Actor{Organisation: who.Organisation, Person: who.ID, Role: proofhouse.Coordinator}
}

// resource is a finding as rules see it.
func resource(f clearing.Finding) policy.Finding {
	return policy.Finding{ID: string(f.ID), By: f.By.Organisation, Marking: f.Claim.Marking}
}

// finding is one to which who may do what.
func (s server) finding(ctx context.Context, who policy.Person, id clearing.FindingID, what policy.Action) (clearing.Project, clearing.Finding, int, error) {
	p, seq, err := s.Clearing.Find(ctx, string(id))
	if err != nil {
		if proofhouse.KindOf(err) == proofhouse.NotFound {
			err = policy.NotFound(policy.Finding{})
		}
		return p, clearing.Finding{}, 0, err
	}
	f, err := p.Finding(id)
	if err != nil {
		return p, f, 0, policy.NotFound(policy.Finding{})
	}
	return p, f, seq, s.Guard.Check(policy.Principal{Person: who}, what, resource(f))
}

// projectOf is a project as rules see it.
func projectOf(p clearing.Project) policy.Project {
	out := policy.Project{Purl: p.Purl}
	for _, f := range p.Findings {
		if !slices.Contains(out.Finders, f.By.Organisation) {
			out.Finders = append(out.Finders, f.By.Organisation)
		}
	}
	return out
}

// change takes an event into a project.
func (s server) change(ctx context.Context, purl string, e clearing.Event) (clearing.Project, error) {
	p, _, err := s.Clearing.Change(ctx, purl, clearing.Request{}, func(clearing.Project) (clearing.Event, error) { return e, nil }, s.Now())
	if err == nil {
		s.Wake()
	}
	return p, err
}

func line(f clearing.Finding) wire.FindingLine {
	return wire.FindingLine{ID: f.ID, Purl: f.Claim.Purl, Title: f.Claim.Title, By: f.By.Organisation, Aware: f.Aware, State: f.State(), Marking: f.Claim.Marking}
}

// maxLooked bounds how many findings are looked at for a page.
const maxLooked = 2000

func (s server) findingLines(ctx context.Context, who policy.Person, state clearing.State, project, after string, limit int) (wire.FindingLines, error) {
	out := wire.FindingLines{Findings: []wire.FindingLine{}}
	by := who.Organisation
	if slices.Contains(who.House, policy.HouseCoordinator) || slices.Contains(who.House, policy.HouseAuditor) {
		by = ""
	}
	for looked := 0; looked < maxLooked; {
		page, next, err := s.Clearing.Findings(ctx, by, after, min(limit*2, 200))
		if err != nil {
			return out, err
		}
		for _, l := range page {
			looked++
			if state != "" && l.Finding.State() != state || project != "" && l.Project.Purl != project {
				continue
			}
			if s.Guard.Check(policy.Principal{Person: who}, policy.ViewFinding, resource(l.Finding)) != nil {
				continue
			}
			if len(out.Findings) == limit {
				return out, nil
			}
			out.Findings = append(out.Findings, line(l.Finding))
			out.Next = strconv.FormatInt(l.Finding.Aware.UnixMicro(), 10) + "." + string(l.Finding.ID)
		}
		if after = next; next == "" {
			out.Next = ""
			return out, nil
		}
		if len(out.Findings) == 0 {
			out.Next = next
		}
	}
	return out, nil
}

// findingView is a finding as who may see it: of others' findings, a finder sees how many they are.
func (s server) findingView(who policy.Person, p clearing.Project, f clearing.Finding) wire.FindingView {
	out := wire.FindingView{Finding: f, Project: p.Purl, State: f.State(), Patches: []clearing.Patch{}}
	for _, q := range p.Patches {
		if q.For == f.ID {
			out.Patches = append(out.Patches, q)
		}
	}
	if c, err := p.Cluster(f.ID); err == nil {
		b := bugOf(p, c)
		if s.Guard.Check(policy.Principal{Person: who}, policy.ReadProject, projectOf(p)) != nil {
			b.ID, b.Best = "", ""
			if b.Packet != nil && b.Packet.Released.IsZero() {
				b.Packet = nil
			}
			if b.Packet != nil {
				mine := *b.Packet
				mine.Members, mine.Cluster, mine.By, mine.Links = nil, "", proofhouse.Actor{}, nil
				b.Packet = &mine
			}
		}
		out.Bug = &b
	}
	return out
}

// bugOf is what is known of a cluster.
func bugOf(p clearing.Project, c clearing.Cluster) wire.Bug {
	b := wire.Bug{ID: c.ID, Reports: len(c.Members)}
	orgs := map[proofhouse.OrganisationID]bool{}
	for _, id := range c.Members {
		if f, err := p.Finding(id); err == nil {
			orgs[f.By.Organisation] = true
		}
	}
	b.Finders = len(orgs)
	if q, ok := p.BestPatch(c); ok {
		b.Best = q.ID
	}
	b.Packet = packetOf(p, c)
	return b
}

// packetOf is the packet of a cluster: the one that went out or else the last that was made.
func packetOf(p clearing.Project, c clearing.Cluster) *clearing.Packet {
	var last *clearing.Packet
	for _, q := range p.Packets {
		if !slices.ContainsFunc(q.Members, func(id clearing.FindingID) bool { return slices.Contains(c.Members, id) }) {
			continue
		}
		if last = &q; !q.Released.IsZero() {
			break
		}
	}
	return last
}

type patchIn struct {
	FindingIn
	Repeat
	Body wire.NewPatch
}

func (s server) offerPatch(ctx context.Context, who policy.Person, in patchIn) (*struct{ Body wire.NewPatchDone }, error) {
	p, f, _, err := s.finding(ctx, who, in.Finding, policy.OfferPatch)
	if err != nil {
		return nil, err
	}
	a := clearing.Propose{ID: clearing.NewPatchID(), For: f.ID, After: in.Body.After}
	b, err := json.Marshal([]any{"patch", f.ID, in.Body})
	if err != nil {
		return nil, err
	}
	for _, diff := range []struct {
		text string
		to   *proofhouse.Digest
	}{{in.Body.Fix, &a.Fix}, {in.Body.Regression, &a.Regression}} {
		if diff.text == "" {
			continue
		}
		if _, err := clearing.ParseDiff([]byte(diff.text)); err != nil {
			return nil, err
		}
		if *diff.to, err = s.Clearing.Keep(ctx, p.Purl, []byte(diff.text)); err != nil {
			return nil, err
		}
	}
	request := clearing.Request{By: finder(who), Key: in.Key, Digest: proofhouse.DigestOf(b)}
	p, seq, err := s.Clearing.Change(ctx, p.Purl, request, func(clearing.Project) (clearing.Event, error) {
		return clearing.Event{By: finder(who), Act: a}, nil
	}, s.Now())
	if err != nil {
		return nil, err
	}
	s.Wake()
	for _, q := range p.Patches {
		if q.Seq == seq {
			return &struct{ Body wire.NewPatchDone }{wire.NewPatchDone{Patch: q.ID}}, nil
		}
	}
	return nil, proofhouse.Errorf(proofhouse.Internal, nil, "the patch is not there")
}

// coordinated is the project of a name in which who may do what; kind says in words what the name is of. A
// project of which who may not know reads like a name that is not there.
func (s server) coordinated(ctx context.Context, who policy.Person, kind, id string, what policy.Action) (clearing.Project, error) {
	p, _, err := s.Clearing.Find(ctx, id)
	if err == nil {
		err = s.mayIn(who, p, what)
	}
	// Of a packet that did not go out its finders know nothing.
	hidden := kind == "packet" && err != nil && !slices.Contains(who.House, policy.HouseCoordinator) && !slices.Contains(who.House, policy.HouseAuditor)
	if hidden || proofhouse.KindOf(err) == proofhouse.NotFound {
		err = proofhouse.Errorf(proofhouse.NotFound, nil, "there is no such %s", kind)
	}
	return p, err
}

func (s server) mayIn(who policy.Person, p clearing.Project, what policy.Action) error {
	return s.Guard.Check(policy.Principal{Person: who}, what, projectOf(p))
}
