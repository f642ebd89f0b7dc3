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
	var custodians []string
	return group(
		"artifact", "files that the vault seals for a case: add, list, open",
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
			rows := [][]any{{"ARTIFACT", "NAME", "BYTES", "MARKING", "COMPARTMENT", "BY", "AT", "SOURCE"}}
			for _, a := range l.Artifacts {
				rows = append(rows, []any{a.ID, a.Name, a.Bytes, a.Marking, a.Compartment, string(a.By.Person) + "@" + string(a.By.Organisation), day(a.At), a.Source})
			}
			table(w, rows...)
		})
	})
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
