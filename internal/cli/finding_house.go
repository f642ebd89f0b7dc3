package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
)

// asking is a command that speaks to a house with the flags of a reader, and of one who sends something again if retry.
func (c *console) asking(use, short, long string, args cobra.PositionalArgs, retry bool, do func(ctx context.Context, r *remote, args []string) error) *cobra.Command {
	r := &remote{console: c}
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: args, RunE: func(cmd *cobra.Command, args []string) error { return do(cmd.Context(), r, args) }}
	r.flags(cmd.Flags())
	if retry {
		cmd.Flags().StringVar(&r.retry, "retry-key", "", "a word of yours; the same command with it, sent again, is not done twice")
	}
	return cmd
}

func (c *console) findingSubmit() *cobra.Command {
	var report clearing.Report
	var marking, fix, regression, sarif, symbol, weakness, claim string
	cmd := c.asking("submit TARGET PROOF", "bring a finding to a house",
		"Sends an input that breaks a target, and the target's folder, by which the house builds it and tries the input itself. What it cannot\n"+
			"reproduce goes nowhere. The answer is a receipt; the same report sent again is not taken twice.",
		cobra.ExactArgs(2), true, func(ctx context.Context, r *remote, args []string) error {
			target, spec, err := readTarget(args[0])
			if err != nil {
				return err
			}
			report.Purl = spec.Purl
			report.Marking = proofhouse.Marking(marking)
			report.Symbol.Function = symbol
			if weakness != "" {
				report.Enrichment = &clearing.Enrichment{CWE: weakness}
			}
			if claim != "" {
				if err := fillFrom(&report, claim, args[1]); err != nil {
					return err
				}
			}
			if err := attach(&report, target, args[1], fix, regression, sarif); err != nil {
				return err
			}
			if _, _, err := report.Read(); err != nil {
				return err
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			got, err := client.Submit(ctx, report, r.retry)
			if err != nil {
				return err
			}
			return c.emit(got, func(w io.Writer) {
				fmt.Fprintf(w, "%s: the house knows of it since %s, marked %s\ncommitment %s\n`finding show %s` says what becomes of it\n", got.Receipt, day(got.Aware), got.Marking, got.Commitment, got.Receipt)
			})
		})
	f := cmd.Flags()
	f.StringVar(&report.Title, "title", "", "what it is, in one line")
	f.StringVar(&report.Description, "description", "", "what it is, at more length")
	f.StringVar(&report.AI, "ai", "", "which model or agent took part, or none; required")
	f.StringVar(&report.Method, "method", "", "how it was found: manual, ai-assisted, ai-discovered, hybrid")
	f.StringVar(&report.Tooling, "tooling", "", "the model or harness")
	f.StringVar(&report.Credit, "credit", "", "how you want to be named to the maintainers; nothing is not at all")
	f.StringVar(&marking, "marking", string(proofhouse.Red), "how far it may be passed on")
	f.StringVar(&weakness, "cwe", "", "the weakness, such as CWE-125")
	f.StringVar(&symbol, "function", "", "the function that is affected")
	f.StringVar(&claim, "claim", "", "a campaign's finding.json, which fills in what the flags leave out")
	f.StringVar(&fix, "fix", "", "`FILE` with a patch: a unified diff of the project's code")
	f.StringVar(&regression, "regression", "", "`FILE` with a diff that adds the patch's own test")
	f.StringVar(&sarif, "sarif", "", "`FILE` with a SARIF log of one result, which fills in what the flags leave out")
	return cmd
}

// fillFrom takes what the flags leave out from a campaign's finding, which must be of this target and this proof.
func fillFrom(r *clearing.Report, file, proof string) error {
	b, err := app.ReadInput(file)
	if err != nil {
		return err
	}
	input, err := app.ReadInput(proof)
	if err != nil {
		return err
	}
	var f clearing.Filed
	if err := json.Unmarshal(b, &f); err != nil {
		return proofhouse.Errorf(proofhouse.Invalid, err, "%s is no finding of a campaign", file)
	}
	if f.Purl != r.Purl || f.Proof != proofhouse.DigestOf(input) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is a finding of another target or another proof", file)
	}
	r.Title, r.Description, r.Symbol.Function = cmp.Or(r.Title, f.Title), cmp.Or(r.Description, f.Description), cmp.Or(r.Symbol.Function, f.Symbol.Function)
	r.Method, r.Tooling, r.AI = cmp.Or(r.Method, f.Method), cmp.Or(r.Tooling, f.Tooling), cmp.Or(r.AI, f.AI)
	return nil
}

// readTarget is a target's folder as an archive: a folder, or what was packed already.
func readTarget(name string) ([]byte, clearing.Spec, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, clearing.Spec{}, proofhouse.Errorf(proofhouse.NotFound, err, "%s is not there: name a folder with %s in it", name, clearing.SpecFile)
	}
	if !info.IsDir() {
		return nil, clearing.Spec{}, proofhouse.Errorf(proofhouse.Invalid, nil, "%s is no folder: a target is a folder with %s in it", name, clearing.SpecFile)
	}
	folder, err := clearing.ReadFolder(os.DirFS(name))
	if err != nil {
		return nil, clearing.Spec{}, err
	}
	packed, err := clearing.PackFolder(name)
	return packed, folder.Spec, err
}

// attach adds the files to a report.
func attach(r *clearing.Report, target []byte, proof, fix, regression, sarif string) error {
	add := func(name, kind string, b []byte) {
		r.Attachments = append(r.Attachments, clearing.Attachment{Filename: name, Type: kind, ContentType: "application/octet-stream", Data: base64.StdEncoding.EncodeToString(b)})
	}
	add("target.zip", clearing.OfTarget, target)
	for _, f := range []struct{ file, name, kind string }{
		{proof, "proof", clearing.OfProof}, {fix, "fix.diff", clearing.OfPatch}, {regression, "regression.diff", clearing.OfPatch}, {sarif, "result.sarif", clearing.OfOther},
	} {
		if f.file == "" {
			continue
		}
		b, err := app.ReadInput(f.file)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "%s is empty", f.file)
		}
		add(f.name, f.kind, b)
	}
	return nil
}

func (c *console) findingList() *cobra.Command {
	var state, project, after string
	var limit int
	cmd := c.asking("list", "the findings that you may see, the newest first", "", cobra.NoArgs, false, func(ctx context.Context, r *remote, _ []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		page, err := client.Findings(ctx, clearing.State(state), project, after, limit)
		if err != nil {
			return err
		}
		return c.emit(page, func(w io.Writer) {
			if len(page.Findings) == 0 {
				fmt.Fprintln(w, "no findings: `finding submit` brings one")
				return
			}
			rows := [][]any{{"FINDING", "AWARE", "STATE", "BY", "PURL", "TITLE"}}
			for _, f := range page.Findings {
				rows = append(rows, []any{f.ID, day(f.Aware), f.State, f.By, f.Purl, f.Title})
			}
			table(w, rows...)
			if page.Next != "" {
				fmt.Fprintf(w, "more: --after %s\n", page.Next)
			}
		})
	})
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "one state: waiting, confirmed, not_reproduced, inconclusive, out_of_threat_model, infrastructure or withdrawn")
	f.StringVar(&project, "project", "", "the `PURL` of one project, without a version")
	f.StringVar(&after, "after", "", "where the page before ended")
	f.IntVar(&limit, "limit", 50, "how many at most, up to 200")
	return cmd
}

func (c *console) findingShow() *cobra.Command {
	var files string
	cmd := c.asking("show FINDING", "a finding, and what became of it", "", cobra.ExactArgs(1), false, func(ctx context.Context, r *remote, args []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		id := clearing.FindingID(args[0])
		f, err := client.Finding(ctx, id)
		if err != nil {
			return err
		}
		if files != "" {
			if err := os.MkdirAll(files, 0o700); err != nil {
				return proofhouse.Errorf(proofhouse.Unavailable, err, "the folder %s cannot be made", files)
			}
			all := map[string]proofhouse.Digest{"target.zip": f.Files.Target, "proof": f.Files.Proof, "fix.diff": f.Files.Fix, "regression.diff": f.Files.Regression, "reproduction.json": f.Last().Statement}
			for name, d := range all {
				if d == "" {
					continue
				}
				if err := save(filepath.Join(files, name), func(w io.Writer) error { return client.FindingFile(ctx, id, d, w) }); err != nil {
					return err
				}
			}
			if err := save(filepath.Join(files, "receipt"), func(w io.Writer) error { return client.FindingReceipt(ctx, id, w) }); err != nil {
				return err
			}
		}
		return c.emit(f, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s\n%s\nby %s@%s, known since %s, marked %s\n", f.ID, f.State, f.Claim.Title, f.By.Person, f.By.Organisation, day(f.Aware), f.Claim.Marking)
			fmt.Fprintf(w, "%s\n", f.Claim.Purl)
			if last := f.Last(); len(f.Attempts) > 0 {
				fmt.Fprintf(w, "reproduction: %s: %s\n", last.Verdict, last.Reason)
				if last.Signature != "" {
					fmt.Fprintf(w, "signature: %s\n", last.Signature)
				}
			}
			for _, q := range f.Patches {
				outcome, reason := patchState(q)
				fmt.Fprintf(w, "%s: %s: %s\n", q.ID, outcome, reason)
			}
			if f.Bug != nil {
				fmt.Fprintf(w, "reports of this bug: %d, organisations: %d\n", f.Bug.Reports, f.Bug.Finders)
				if p := f.Bug.Packet; p != nil {
					fmt.Fprintln(w, packetState(*p))
				}
			}
		})
	})
	cmd.Flags().StringVar(&files, "files", "", "`FOLDER` for its files, the signed statement and the public log's receipt")
	return cmd
}

// patchState is where a patch stands.
func patchState(q clearing.Patch) (outcome, reason string) {
	switch {
	case q.Stuck():
		return "stuck", "errors of the house's kept it from being checked: a coordinator has it tried again (finding retry)"
	case q.Check == nil:
		return "waits", "it was not checked yet"
	}
	return string(q.Check.Outcome), q.Check.Reason
}

// save writes a file whole or not at all.
func save(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return proofhouse.Errorf(proofhouse.Conflict, err, "%s cannot be written, or is there already", name)
	}
	err = write(f)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		_ = os.Remove(name)
	}
	return err
}

func (c *console) findingWithdraw() *cobra.Command {
	return c.asking("withdraw FINDING", "take a finding back, as its finder", "What was seen of it stays in the record. It counts for nothing any more.", cobra.ExactArgs(1), false, func(ctx context.Context, r *remote, args []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		f, err := client.TakeBack(ctx, clearing.FindingID(args[0]))
		if err != nil {
			return err
		}
		return c.emit(f, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", f.ID, f.State) })
	})
}

func (c *console) findingRetry() *cobra.Command {
	var reason string
	cmd := c.asking("retry FINDING", "have a finding tried again that is not confirmed, as a coordinator", "After an error of the house's, or when the project's threat model has changed. Of a confirmed finding: the patches that errors of the house's kept from\nbeing checked.", cobra.ExactArgs(1), false, func(ctx context.Context, r *remote, args []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		f, err := client.Retry(ctx, clearing.FindingID(args[0]), reason)
		if err != nil {
			return err
		}
		return c.emit(f, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", f.ID, f.State) })
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, in plain words; required")
	return cmd
}

func (c *console) patchSubmit() *cobra.Command {
	var regression string
	var after []string
	cmd := c.asking("submit FINDING FIX", "offer a patch for a confirmed finding",
		"FIX is a unified diff of the project's code. The house holds it to every proof of the bug, their variations and the project's tests.",
		cobra.ExactArgs(2), true, func(ctx context.Context, r *remote, args []string) error {
			p := wire.NewPatch{}
			b, err := app.ReadInput(args[1])
			if err != nil {
				return err
			}
			p.Fix = string(b)
			if regression != "" {
				if b, err = app.ReadInput(regression); err != nil {
					return err
				}
				p.Regression = string(b)
			}
			for _, id := range after {
				p.After = append(p.After, clearing.PatchID(id))
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			done, err := client.OfferPatch(ctx, clearing.FindingID(args[0]), p, r.retry)
			if err != nil {
				return err
			}
			return c.emit(done, func(w io.Writer) { fmt.Fprintf(w, "%s waits to be checked\n", done.Patch) })
		})
	cmd.Flags().StringVar(&regression, "regression", "", "`FILE` with a diff that adds the patch's own test")
	cmd.Flags().StringArrayVar(&after, "after", nil, "a `PATCH` of the same project that this one is made on top of; may be given again")
	return cmd
}

// cluster are the commands of what one fix mends.
func (c *console) cluster() *cobra.Command {
	return group("cluster", "the findings that one fix mends", c.clusterShow(),
		c.decide("merge", "say that two findings are of one bug", true), c.decide("apart", "say that two findings are of two bugs", false))
}

func (c *console) clusterShow() *cobra.Command {
	return c.asking("show FINDING", "the findings of one bug with the evidence, for coordinators and auditors", "", cobra.ExactArgs(1), false, func(ctx context.Context, r *remote, args []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		v, err := client.Cluster(ctx, clearing.FindingID(args[0]))
		if err != nil {
			return err
		}
		return c.emit(v, func(w io.Writer) { printCluster(w, v) })
	})
}

func (c *console) decide(use, short string, same bool) *cobra.Command {
	var reason string
	cmd := c.asking(use+" FINDING OTHER", short, "A person's word beats what was executed. The last one holds, so it can be taken back.", cobra.ExactArgs(2), false, func(ctx context.Context, r *remote, args []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		v, err := client.Decide(ctx, clearing.FindingID(args[0]), wire.NewDecision{Other: clearing.FindingID(args[1]), Same: same, Reason: reason})
		if err != nil {
			return err
		}
		return c.emit(v, func(w io.Writer) { printCluster(w, v) })
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, in plain words; required")
	return cmd
}

func printCluster(w io.Writer, v wire.ClusterView) {
	fmt.Fprintf(w, "%s in %s: %d findings\n", v.ID, v.Project, len(v.Members))
	rows := [][]any{{"FINDING", "BY", "AWARE", "TITLE"}}
	for _, f := range v.Lines {
		rows = append(rows, []any{f.ID, f.By, day(f.Aware), f.Title})
	}
	table(w, rows...)
	same := 0
	rows = [][]any{{"A", "B", "RELATION", "EVIDENCE"}}
	for _, e := range v.Edges {
		if e.Relation == clearing.Same && e.By == "" {
			same++
			continue
		}
		rows = append(rows, []any{e.A, e.B, e.Relation, evidence(e)})
	}
	if same > 0 {
		fmt.Fprintf(w, "of %d pairs, %d are stopped by one least patch (--json has them)\n", len(v.Edges), same)
	}
	if len(rows) > 1 {
		table(w, rows...)
	}
	for _, e := range v.Near {
		fmt.Fprintf(w, "perhaps the same, and nothing was run that tells: %s, %s\n", e.A, e.B)
	}
	if len(v.Cells) > 0 {
		fmt.Fprintln(w)
		printMatrix(w, v)
	}
	if len(v.Patches) > 0 {
		fmt.Fprintln(w)
		rows = [][]any{{"PATCH", "FOR", "OUTCOME", "REASON"}}
		for _, q := range v.Patches {
			outcome, reason := patchState(q)
			if q.ID == v.Best {
				outcome += " (goes out)"
			}
			rows = append(rows, []any{q.ID, q.For, outcome, reason})
		}
		table(w, rows...)
	}
	if v.Packet != nil {
		fmt.Fprintln(w, packetState(*v.Packet))
	}
}

// evidence is what an edge rests on.
func evidence(e clearing.Edge) string {
	if e.By != "" {
		return e.By + ": " + e.Reason
	}
	if e.Both+e.OnlyA+e.OnlyB > 0 {
		return fmt.Sprintf("least patches that stop both %d, one alone %d", e.Both, e.OnlyA+e.OnlyB)
	}
	return e.Reason
}

// printMatrix prints what each proof does under the least parts of patches.
func printMatrix(w io.Writer, v wire.ClusterView) {
	var proofs, patches []proofhouse.Digest
	says := map[[2]proofhouse.Digest]string{}
	for _, cell := range v.Cells {
		if !slices.Contains(proofs, cell.Proof) {
			proofs = append(proofs, cell.Proof)
		}
		if !slices.Contains(patches, cell.Patch) {
			patches = append(patches, cell.Patch)
		}
		word := "breaks"
		switch {
		case cell.Stops && len(cell.After) > 0:
			word = "stops, behind another"
		case cell.Stops:
			word = "stops"
		case cell.Moves:
			word = "moves"
		}
		says[[2]proofhouse.Digest{cell.Proof, cell.Patch}] = word
	}
	head := []any{"PROOF"}
	for _, p := range patches {
		head = append(head, "PATCH "+p.Short())
	}
	rows := [][]any{head}
	for _, p := range proofs {
		row := []any{p.Short()}
		for _, q := range patches {
			row = append(row, says[[2]proofhouse.Digest{p, q}])
		}
		rows = append(rows, row)
	}
	table(w, rows...)
}
