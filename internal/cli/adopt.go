package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
)

// adopt is the command by which a department adopts a case's evidence.
func (c *console) adopt() *cobra.Command {
	r := remote{console: c}
	var a docket.Adopt
	var not bool
	var until string
	var evidence []string
	var determination int
	cmd := &cobra.Command{
		Use: "adopt CASE", Short: "adopt a case's evidence and sign what your department decides about its own use", Args: cobra.ExactArgs(1),
		Long: "Signs, with your department's own key, whether it will use the model itself: of which systems, for what, on which conditions of its own\n" +
			"and until when. It cites a determination and evidence of the case by their digests, changes nothing in either, and says nothing about\n" +
			"anybody else's use or about a release. Versions are added; your department's last holds.",
		RunE: func(cmd *cobra.Command, args []string) error {
			id := proofhouse.CaseID(args[0])
			a.Use = docket.WillUse
			if not {
				a.Use = docket.WillNotUse
			}
			var err error
			if until != "" {
				if a.Until, err = parseDate(until); err != nil {
					return err
				}
			}
			a.Evidence = []proofhouse.Digest{}
			for _, e := range evidence {
				a.Evidence = append(a.Evidence, proofhouse.Digest(e))
			}
			if determination > 0 || len(evidence) == 0 {
				client, err := r.client()
				if err != nil {
					return err
				}
				k, err := client.Case(cmd.Context(), id)
				if err != nil {
					return err
				}
				if err := cite(&a, k, determination); err != nil {
					return err
				}
			}
			return r.do(cmd.Context(), id, a)
		},
	}
	r.acting(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&r.key, "key", "", "`FILE` of your signing key")
	f.BoolVar(&not, "not", false, "your department will not use the model")
	f.StringVar(&a.Scope, "scope", "", "of which systems, by whom")
	f.StringVar(&a.Purpose, "purpose", "", "for what")
	f.StringArrayVar(&a.Conditions, "condition", []string{}, "a condition of your department's own, on its own use; may be repeated")
	f.StringVar(&until, "until", "", "`DATE` when it decides anew")
	f.IntVar(&determination, "determination", 0, "the determination that it rests on; 0 is none")
	f.StringArrayVar(&evidence, "evidence", nil, "`DIGEST` of a finished run's evidence or of what was attached; may be repeated; else that of the runs that the determination counts")
	return cmd
}

// cite names a determination by its digest, and, unless evidence is named, that of the runs that it counts.
func cite(a *docket.Adopt, k wire.Case, determination int) error {
	if determination < 1 || determination > len(k.Determinations) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "name the evidence that you adopt, or a determination of the case, which has %d", len(k.Determinations))
	}
	d := k.Determinations[determination-1]
	a.Determination = d.Digest()
	if len(a.Evidence) > 0 {
		return nil
	}
	for _, run := range k.Runs {
		if slices.Contains(d.Runs, run.ID) && !slices.Contains(a.Evidence, run.Evidence) {
			a.Evidence = append(a.Evidence, run.Evidence)
		}
	}
	return nil
}

// ownUse is a department's decision in a line.
func ownUse(a docket.Adoption) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s for itself alone, version %d: %s, %s, for %s", a.By.Organisation, a.Version, a.Use, a.Scope, a.Purpose)
	if len(a.Conditions) > 0 {
		fmt.Fprintf(&b, ", on its own conditions: %s", strings.Join(a.Conditions, "; "))
	}
	if !a.Until.IsZero() {
		fmt.Fprintf(&b, ", until %s", day(a.Until))
	}
	if a.Determination != "" {
		fmt.Fprintf(&b, "; rests on the determination %s", a.Determination.Short())
	}
	fmt.Fprintf(&b, " and %d pieces of evidence", len(a.Evidence))
	return b.String()
}
