package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"proofhouse/internal/app"
	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// recordings are the words of --record.
var recordings = map[string]gate.Recording{"metadata": gate.RecordMetadata, "sealed": gate.RecordSealed, "none": gate.RecordNone}

func parseRecording(word string) (gate.Recording, error) {
	r, ok := recordings[word]
	if !ok {
		return r, proofhouse.Errorf(proofhouse.Invalid, nil, "--record is metadata, sealed or none")
	}
	return r, nil
}

func (c *console) gateContent() *cobra.Command {
	var part string
	cmd := &cobra.Command{
		Use:   "content CALL",
		Short: "open what was sealed of a call: it needs the house's key",
		Long: "Prints the request as it was sent and the answer as it was seen, and checks both against the record. With --part only\n" +
			"the bytes of one of them are printed. A call's id is in `gate export`, which has the metadata of all calls and no content.",
		Args: cobra.ExactArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			if part != "" {
				return house.GateContent(ctx, args[0], part, c.out)
			}
			var request, answer bytes.Buffer
			if err := house.GateContent(ctx, args[0], "request", &request); err != nil {
				return err
			}
			kept := true
			if err := house.GateContent(ctx, args[0], "answer", &answer); proofhouse.KindOf(err) == proofhouse.NotFound {
				kept = false
			} else if err != nil {
				return err
			}
			v := map[string]any{"call": args[0], "request": request.String()}
			if kept {
				v["answer"] = answer.String()
			}
			return c.emit(v, func(w io.Writer) {
				fmt.Fprintf(w, "# request\n%s\n", strings.TrimRight(request.String(), "\n"))
				if kept {
					fmt.Fprintf(w, "# answer\n%s\n", strings.TrimRight(answer.String(), "\n"))
				} else {
					fmt.Fprintln(w, "# no answer was kept")
				}
			})
		}),
	}
	cmd.Flags().StringVar(&part, "part", "", "only the bytes of the `request` or the answer")
	return cmd
}

func (c *console) gateShred() *cobra.Command {
	var caseID string
	cmd := &cobra.Command{
		Use:   "shred [GRANT]",
		Short: "destroy the sealed content of a case, or of a grant without one, for good",
		Long: "Destroys the key that the content is sealed with: nothing of it opens any more. The grants must be over. What shredding\n" +
			"cannot promise, docs/design/vault.md says.",
		Args: cobra.MaximumNArgs(1),
		RunE: c.with(func(ctx context.Context, house *app.App, args []string) error {
			if (len(args) == 1) == (caseID != "") {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "say what is shredded: a grant or --case CASE")
			}
			done, err := house.ShredGate(ctx, strings.Join(args, ""), caseID, time.Now())
			if err != nil {
				return err
			}
			return c.emit(done, func(w io.Writer) {
				fmt.Fprintf(w, "the content of %s is shredded\n", strings.Join(done.Grants, ", "))
			})
		}),
	}
	cmd.Flags().StringVar(&caseID, "case", "", "the content of every grant of this case")
	return cmd
}
