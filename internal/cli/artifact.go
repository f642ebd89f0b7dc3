package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// artifact are the commands of what is sealed in a case.
func (c *console) artifact() *cobra.Command {
	var custodians, held []string
	var reason string
	return group(
		"artifact", "files that the vault seals for a case: add, list, open, hold, destroy",
		c.artifactAdd(), c.artifactList(), c.artifactOpen(),
		c.act("compartment CASE NAME", "make a compartment of the case, with two custodians or none",
			"A clearance is for one compartment: CASE is that of the case, CASE.NAME this one. With two custodians nothing in it opens without the\n"+
				"secret keys of both, which the house never has: `age-keygen -pq` makes them, and --custodian names their public keys, in the order in\n"+
				"which they open. A custodian's key that is lost ends what was sealed for it.", 1, func(f *pflag.FlagSet) {
				f.StringArrayVar(&custodians, "custodian", nil, "`FILE` with a custodian's public key, twice")
			}, func(args []string) (docket.Act, error) {
				a := docket.MakePart{Name: args[0]}
				for _, file := range custodians {
					key, err := firstLine(file, "age1")
					if err != nil {
						return nil, err
					}
					a.Custodians = append(a.Custodians, key)
				}
				return a, nil
			}),
		c.artifactLayer(), c.artifactUnwrap(),
		c.act("hold CASE NAME", "place a legal hold on artifacts, or on all of the case", "While it lasts nothing that it is on is destroyed, whatever the terms say and whoever approves.", 1, func(f *pflag.FlagSet) {
			f.StringArrayVar(&held, "artifact", nil, "`ARTIFACT` that it is on; may be repeated; without one, all of the case")
			f.StringVar(&reason, "reason", "", "why, in plain words")
		}, func(args []string) (docket.Act, error) {
			a := docket.PlaceHold{ID: args[0], Reason: reason}
			for _, id := range held {
				a.Artifacts = append(a.Artifacts, proofhouse.Digest(id))
			}
			return a, nil
		}),
		c.act("lift CASE NAME", "lift a legal hold, as whoever placed it or a security officer", "", 1, func(f *pflag.FlagSet) {
			f.StringVar(&reason, "reason", "", "why, in plain words")
		}, func(args []string) (docket.Act, error) { return docket.LiftHold{ID: args[0], Reason: reason}, nil }),
		c.artifactDestroy(),
	)
}

func (c *console) artifactAdd() *cobra.Command {
	r := remote{console: c}
	var about wire.NewArtifact
	var marking string
	cmd := &cobra.Command{
		Use: "add CASE FILE", Short: "bring a file to a case: the house seals it as it comes", Args: cobra.ExactArgs(2),
		Long: "Sends a file to the house, which seals it in the case's compartment and records who brought it. It counts as nothing of the house's\n" +
			"own. An archive (ZIP, tar, tar.gz) is read through, and refused whole if it would do harm where it is unpacked.",
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			f, err := os.Open(args[1])
			if err != nil {
				return proofhouse.Errorf(proofhouse.NotFound, err, "that file cannot be read")
			}
			defer f.Close()
			about.Marking = proofhouse.Marking(marking)
			if about.Name == "" {
				about.Name = filepath.Base(args[1])
			}
			if about.Media == "" {
				about.Media = mime.TypeByExtension(filepath.Ext(about.Name))
			}
			s, err := client.Seal(cmd.Context(), proofhouse.CaseID(args[0]), about, f, wire.Options{As: proofhouse.Role(r.as), At: r.at, Key: r.retry})
			if err != nil {
				return err
			}
			return c.emit(s, func(w io.Writer) {
				fmt.Fprintf(w, "event %d: sealed %d bytes as %s\n", s.Seq, s.Artifact.Bytes, s.Artifact.ID)
			})
		},
	}
	r.acting(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&about.Source, "source", "", "who made it, and how it came here")
	f.StringVar(&about.Name, "name", "", "what to call it, if not as the file")
	f.StringVar(&about.Media, "media", "", "its media `TYPE`, if not by the file's ending")
	f.StringVar(&marking, "marking", "", "how far it may go, such as TLP:RED; that of the terms, if there is none")
	f.StringVar(&about.Compartment, "compartment", "", "`COMPARTMENT` of the case; the case's own, if there is none")
	return cmd
}

func (c *console) artifactList() *cobra.Command {
	return c.forCase("list CASE", "what is sealed in a case, as far as you may know of it", func(ctx context.Context, client wire.Client, id proofhouse.CaseID) error {
		l, err := client.Artifacts(ctx, id)
		if err != nil {
			return err
		}
		return c.emit(l, func(w io.Writer) {
			rows := [][]any{{"ARTIFACT", "NAME", "BYTES", "MARKING", "COMPARTMENT", "BY", "AT", "STANDING", "SOURCE"}}
			for _, a := range l.Artifacts {
				rows = append(rows, []any{a.ID, a.Name, a.Bytes, a.Marking, a.Compartment, string(a.By.Person) + "@" + string(a.By.Organisation), day(a.At), keeping(a), a.Source})
			}
			table(w, rows...)
		})
	})
}

// keeping is what may be done with an artifact, and why.
func keeping(a wire.Filed) string {
	switch {
	case !a.Destroyed.IsZero():
		return "destroyed " + day(a.Destroyed)
	case !a.Ordered.IsZero():
		return "ordered to be destroyed " + day(a.Ordered)
	case len(a.Holds) > 0:
		return string(a.Standing) + ": held by " + strings.Join(a.Holds, ", ")
	case !a.Due.IsZero():
		return string(a.Standing) + ", by the terms on " + day(a.Due)
	}
	return string(a.Standing)
}

func (c *console) artifactOpen() *cobra.Command {
	var request, layer string
	cmd := c.fetch("open CASE ARTIFACT FILE", "write what an artifact holds to a new file",
		"Takes a clearance for its compartment, or that you brought it. One that has custodians takes a request to unseal it that two others\n"+
			"approved (`case request CASE unseal --on ARTIFACT`), and the layer that both custodians have unwrapped (`case artifact layer`).", "handle it by its marking", 3,
		func(args []string) string { return args[2] },
		func(ctx context.Context, client wire.Client, args []string, w io.Writer) error {
			id, artifact := proofhouse.CaseID(args[0]), proofhouse.Digest(args[1])
			if request == "" && layer == "" {
				return client.Artifact(ctx, id, artifact, w)
			}
			b, err := os.ReadFile(layer)
			if err != nil {
				return proofhouse.Errorf(proofhouse.NotFound, err, "name the file with what the custodians left over with --layer")
			}
			return client.Unsealed(ctx, id, artifact, request, b, w)
		})
	cmd.Flags().StringVar(&request, "request", "", "the approved `REQUEST`, of an artifact that has custodians")
	cmd.Flags().StringVar(&layer, "layer", "", "`FILE` with what both custodians have unwrapped")
	return cmd
}

func (c *console) artifactLayer() *cobra.Command {
	var request string
	cmd := c.fetch("layer CASE ARTIFACT FILE", "write the head of an artifact that has custodians, for the first of them",
		"The house takes its own layer off. What comes out opens for the first custodian (`case artifact unwrap`), and then for the second.", "give it to the first custodian", 3,
		func(args []string) string { return args[2] },
		func(ctx context.Context, client wire.Client, args []string, w io.Writer) error {
			return client.Layer(ctx, proofhouse.CaseID(args[0]), proofhouse.Digest(args[1]), request, w)
		})
	cmd.Flags().StringVar(&request, "request", "", "the approved `REQUEST`")
	return cmd
}

func (c *console) artifactUnwrap() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "unwrap LAYER FILE", Short: "take your layer off, as a custodian, on your own machine", Args: cobra.ExactArgs(2),
		Long: "Works on this machine alone: the secret key goes nowhere. What is written shows nothing of the artifact: it opens with the house's key\n" +
			"and the body there. `age -d -i KEY LAYER` does the same.",
		RunE: func(_ *cobra.Command, args []string) error {
			sealed, err := os.ReadFile(args[0])
			if err != nil {
				return proofhouse.Errorf(proofhouse.NotFound, err, "the layer cannot be read")
			}
			secret, err := firstLine(key, "AGE-SECRET-KEY-")
			if err != nil {
				return err
			}
			inner, err := vault.Layer(sealed).UnwrapBy(vault.Secret(secret))
			if err != nil {
				return err
			}
			f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return proofhouse.Errorf(proofhouse.Conflict, err, "the file is there already, or cannot be made: choose another")
			}
			_, err = f.Write(inner)
			if err := errors.Join(err, f.Close()); err != nil {
				return proofhouse.Errorf(proofhouse.Unavailable, err, "the file cannot be written")
			}
			return c.emit(map[string]string{"file": args[1]}, func(w io.Writer) {
				fmt.Fprintf(w, "written to %s: it goes to the second custodian, or if you are that, to whoever asked\n", args[1])
			})
		},
	}
	cmd.Flags().StringVar(&key, "key-file", "", "`FILE` with your secret key, as age-keygen -pq wrote it")
	return cmd
}

func (c *console) artifactDestroy() *cobra.Command {
	r := remote{console: c}
	var request, confirm, out string
	var all bool
	cmd := &cobra.Command{
		Use: "destroy CASE [ARTIFACT]", Short: "destroy an artifact, or the whole case, for good, by a request that two others approved", Args: cobra.RangeArgs(1, 2),
		Long: "Takes an approved request (`case request CASE destroy --on ARTIFACT`; without --on it is for the whole case). What is destroyed does not\n" +
			"open any more, from whatever backup. The house's signed certificate says what went, and who approved.\n" +
			"With --all the case's own key goes too: its record does not open any more, lists show that it was there and no more, and no bundle of\n" +
			"it can be made. Write the bundle first, then say --confirm CASE. --out keeps the certificates.",
		RunE: func(cmd *cobra.Command, args []string) error {
			id := proofhouse.CaseID(args[0])
			switch {
			case all == (len(args) == 2):
				return proofhouse.Errorf(proofhouse.Invalid, nil, "name the artifact, or say --all for the whole case")
			case all && confirm != args[0]:
				return proofhouse.Errorf(proofhouse.Invalid, nil, "with --all nothing of the case opens afterwards, and no bundle of it can be made: write one first (`bundle get`), and then say --confirm %s", id)
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			var file *os.File
			if out != "" {
				if file, err = os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
					return proofhouse.Errorf(proofhouse.Conflict, err, "the file is there already, or cannot be made: choose another")
				}
				defer file.Close()
			}
			var d docket.Destruction
			if all {
				d, err = client.DestroyAll(cmd.Context(), id, request, proofhouse.Role(r.as))
			} else {
				d, err = client.Destroy(cmd.Context(), id, proofhouse.Digest(args[1]), request, proofhouse.Role(r.as))
			}
			if err != nil {
				if file != nil {
					_ = os.Remove(out)
				}
				return err
			}
			for _, statement := range d.Statements {
				if file == nil {
					break
				}
				if _, err := fmt.Fprintf(file, "%s\n", statement); err != nil {
					return proofhouse.Errorf(proofhouse.Unavailable, err, "it is destroyed, and the file for the certificate cannot be written: the house has it")
				}
			}
			return c.emit(d, func(w io.Writer) {
				fmt.Fprintf(w, "destroyed %d artifacts, by agreement of %s@%s and %s@%s\n", len(d.Artifacts), d.Agreed[0].Person, d.Agreed[0].Organisation, d.Agreed[1].Person, d.Agreed[1].Organisation)
				if d.Whole {
					fmt.Fprintf(w, "and with them %s itself: nothing of it opens any more\n", id)
				}
			})
		},
	}
	r.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&r.as, "as", "", "your role, where you have several that may")
	f.StringVar(&request, "request", "", "the approved `REQUEST`")
	f.BoolVar(&all, "all", false, "the whole case")
	f.StringVar(&confirm, "confirm", "", "`CASE` again, with --all")
	f.StringVar(&out, "out", "", "new `FILE` for the certificates, a line each")
	return cmd
}

// firstLine is the first line of a file that begins so, as in what age-keygen writes.
func firstLine(file, begins string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", proofhouse.Errorf(proofhouse.NotFound, err, "the key's file cannot be read")
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, begins) {
			return strings.TrimSpace(line), nil
		}
	}
	return "", proofhouse.Errorf(proofhouse.Invalid, nil, "no line of the key's file begins with %s: `age-keygen -pq` makes keys", begins)
}
