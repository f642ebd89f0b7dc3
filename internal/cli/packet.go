package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
)

// packetState is where a packet stands, in one line.
func packetState(p clearing.Packet) string {
	switch {
	case p.Released.IsZero():
		return fmt.Sprintf("%s was made %s and did not go out", p.ID, day(p.Made))
	case p.Answer == "":
		return fmt.Sprintf("%s went out %s", p.ID, day(p.Released))
	}
	return fmt.Sprintf("%s went out %s, and the project said: %s", p.ID, day(p.Released), p.Answer)
}

// packet are the commands of what a maintainer gets.
func (c *console) packet() *cobra.Command {
	return group("packet", "what a maintainer gets of one bug: make, show, release, give a link", c.packetMake(), c.packetShow(), c.packetRelease(), c.packetReply(), c.packetLink(), c.packetUnlink())
}

// onPackets is a command that ends with a packet.
func (c *console) onPackets(use, short, long string, args int, do func(ctx context.Context, client wire.Client, args []string) (wire.PacketView, error)) *cobra.Command {
	return c.asking(use, short, long, cobra.ExactArgs(args), false, func(ctx context.Context, r *remote, args []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		v, err := do(ctx, client, args)
		if err != nil {
			return err
		}
		return c.emit(v, func(w io.Writer) {
			if v.Letter != "" {
				fmt.Fprintf(w, "%s\n-- \n", v.Letter)
			}
			fmt.Fprintln(w, packetState(v.Packet))
			for _, l := range v.Links {
				state := "holds until " + day(l.Expires)
				if !l.Holds(time.Now()) {
					state = "has ended"
				}
				fmt.Fprintf(w, "%s, given by %s@%s, %s\n", l.ID, l.By.Person, l.By.Organisation, state)
			}
			if v.Blocked != "" {
				fmt.Fprintf(w, "it may not go out now: %s\n", v.Blocked)
			}
		})
	})
}

func (c *console) packetMake() *cobra.Command {
	var contact string
	cmd := c.onPackets("make FINDING", "make the packet of the bug that a finding is of, for a person to read",
		"One short text: what breaks where in which version, how to see it, the smallest verified patch with its test or the plain words that there is\n"+
			"none, who found it, what models took part. Nothing goes out by it.", 1,
		func(ctx context.Context, client wire.Client, args []string) (wire.PacketView, error) {
			if contact == "" {
				return wire.PacketView{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a packet names a person who answers: give --contact \"NAME <ADDRESS>\"")
			}
			return client.MakePacket(ctx, wire.NewPacket{Finding: clearing.FindingID(args[0]), Contact: contact})
		})
	cmd.Flags().StringVar(&contact, "contact", "", "a person who answers: `NAME <ADDRESS>`; required")
	return cmd
}

func (c *console) packetShow() *cobra.Command {
	var out string
	cmd := c.onPackets("show PACKET", "a packet with its text", "", 1, func(ctx context.Context, client wire.Client, args []string) (wire.PacketView, error) {
		id := clearing.PacketID(args[0])
		v, err := client.Packet(ctx, id)
		if err == nil && out != "" {
			err = save(out, func(w io.Writer) error { return client.PacketArchive(ctx, id, w) })
		}
		return v, err
	})
	cmd.Flags().StringVar(&out, "archive", "", "`FILE` for the ZIP archive that goes with it: letter, target, proof, patch, test")
	return cmd
}

func (c *console) packetRelease() *cobra.Command {
	return c.onPackets("release PACKET", "say that you send a packet, as a person",
		"Records that it goes out, and by whom. Refused while the project is closed or has had what it takes. The house itself sends nothing: the letter\n"+
			"and the archive (`packet show PACKET --archive FILE`) go the way that the project named as its contact.", 1,
		func(ctx context.Context, client wire.Client, args []string) (wire.PacketView, error) {
			return client.ReleasePacket(ctx, clearing.PacketID(args[0]))
		})
}

func (c *console) packetReply() *cobra.Command {
	var note string
	cmd := c.onPackets("reply PACKET ANSWER", "note what the project said to a packet",
		"ANSWER is acknowledged, accepted, fixed, duplicate, \"not a bug\" or \"will not fix\". All but the first close the packet, which makes room for the next.", 2,
		func(ctx context.Context, client wire.Client, args []string) (wire.PacketView, error) {
			return client.Reply(ctx, clearing.PacketID(args[0]), wire.NewReply{Answer: clearing.Answer(args[1]), Note: note})
		})
	cmd.Flags().StringVar(&note, "note", "", "what else it said")
	return cmd
}

func (c *console) packetLink() *cobra.Command {
	var days int
	cmd := c.asking("link PACKET", "give a link to a packet that you released, for the project's people", "Whoever has it reads this packet and answers it, without an account, for as long as it holds. It is printed this once; the house keeps its hash.\n"+
		"What comes after its # is the secret: browsers do not send that, and no log has it.", cobra.ExactArgs(1), false,
		func(ctx context.Context, r *remote, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			given, err := client.GiveLink(ctx, clearing.PacketID(args[0]), days)
			if err != nil {
				return err
			}
			return c.emit(given, func(w io.Writer) {
				fmt.Fprintf(w, "%s/packet/open#%s\n%s holds until %s\n", strings.TrimSuffix(client.URL, "/"), given.Secret, given.Link, day(given.Expires))
			})
		})
	cmd.Flags().IntVar(&days, "days", 30, "for how many days it holds, 90 at most")
	return cmd
}

func (c *console) packetUnlink() *cobra.Command {
	return c.onPackets("unlink PACKET LINK", "end a link to a packet before its time", "LINK is its name, which `packet show` lists.", 2,
		func(ctx context.Context, client wire.Client, args []string) (wire.PacketView, error) {
			return client.EndLink(ctx, clearing.PacketID(args[0]), clearing.LinkID(args[1]))
		})
}

// project are the commands of projects and what they declare.
func (c *console) project() *cobra.Command {
	return group("project", "the software that findings are of, and what its people declared", c.projectList(), c.projectShow(), c.projectDeclare())
}

func (c *console) projectList() *cobra.Command {
	var after string
	cmd := c.asking("list", "the projects in which there are findings, for coordinators and auditors", "", cobra.NoArgs, false, func(ctx context.Context, r *remote, _ []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		page, err := client.Projects(ctx, after)
		if err != nil {
			return err
		}
		return c.emit(page, func(w io.Writer) {
			for _, purl := range page.Projects {
				fmt.Fprintln(w, purl)
			}
			if page.Next != "" {
				fmt.Fprintf(w, "more: --after %s\n", page.Next)
			}
		})
	})
	cmd.Flags().StringVar(&after, "after", "", "where the page before ended")
	return cmd
}

func (c *console) projectShow() *cobra.Command {
	return c.asking("show PURL", "a project: what waits, which bugs, what went out", "PURL is without a version, such as pkg:npm/minimist.", cobra.ExactArgs(1), false, func(ctx context.Context, r *remote, args []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		v, err := client.Project(ctx, args[0])
		if err != nil {
			return err
		}
		return c.emit(v, func(w io.Writer) { printProject(w, v) })
	})
}

func (c *console) projectDeclare() *cobra.Command {
	return c.asking("declare PURL FILE", "enter what a project declared: window, capacity, style, threat model",
		"FILE is TOML as the project wrote it (docs/design/clearing.md has the keys). The project needs no account.", cobra.ExactArgs(2), false, func(ctx context.Context, r *remote, args []string) error {
			text, err := app.ReadInput(args[1])
			if err != nil {
				return err
			}
			if _, err := clearing.ParseDeclaration(text); err != nil {
				return err
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			v, err := client.Declare(ctx, args[0], wire.NewDeclaration{TOML: string(text)})
			if err != nil {
				return err
			}
			return c.emit(v, func(w io.Writer) { printProject(w, v) })
		})
}

func printProject(w io.Writer, v wire.ProjectView) {
	d := v.Declaration
	fmt.Fprintf(w, "%s: takes %d packets a week and %d open at once, as %s text\n", v.Purl, max(d.Capacity, 0), d.Open, d.Style)
	for _, c := range d.Closed {
		fmt.Fprintf(w, "closed from %s until %s: %s\n", c.From, c.Until, c.Why)
	}
	if v.Blocked != "" {
		fmt.Fprintf(w, "nothing goes out now: %s\n", v.Blocked)
	}
	for _, state := range slices.Sorted(maps.Keys(v.States)) {
		fmt.Fprintf(w, "%s: %d findings\n", state, v.States[state])
	}
	if len(v.Bugs) == 0 {
		return
	}
	fmt.Fprintln(w)
	rows := [][]any{{"BUG", "REPORTS", "FINDERS", "PATCH", "PACKET"}}
	for _, b := range v.Bugs {
		packet := "-"
		if b.Packet != nil {
			packet = packetState(*b.Packet)
		}
		patch := string(b.Best)
		if patch == "" {
			patch = "no fix yet"
		}
		rows = append(rows, []any{b.ID, b.Reports, b.Finders, patch, packet})
	}
	table(w, rows...)
}

// desk is the command that works through findings.
func (c *console) desk() *cobra.Command {
	var once bool
	var database string
	cmd := &cobra.Command{
		Use: "desk", Short: "work through the findings that wait in this data folder's house, in boxes, until Ctrl-C", Args: cobra.NoArgs,
		Long: "Reproduces findings, checks patches and fills the matrix of proofs and patches, project after project, finders by turns. It runs beside `serve`,\n" +
			"on the same data folder, since what speaks to the outside starts no boxes. It sends nothing.",
		RunE: c.with(func(ctx context.Context, house *app.App, _ []string) error {
			d, err := house.OpenDesk(ctx, database)
			if err != nil {
				return err
			}
			defer d.Close()
			return d.Run(ctx, once, func(purl, did string) {
				_ = c.emit(map[string]string{"project": purl, "did": did}, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", purl, did) })
			})
		}),
	}
	cmd.Flags().BoolVar(&once, "once", false, "end when nothing waits")
	cmd.Flags().StringVar(&database, "database", "", "`ADDRESS` of the house's database, sqlite:PATH or postgres://… (default a file in the data folder)")
	return cmd
}
