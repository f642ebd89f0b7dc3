package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/app"
	"proofhouse/internal/proofhouse"
)

func (c *console) admin() *cobra.Command {
	return group("admin", "people, organisations and their tokens", c.adminClaim(), c.adminCode(), c.adminOrganisation(), c.adminPerson(), c.adminRole(), c.adminClearance(), c.adminConflict(),
		c.adminToken(), c.adminWay(), c.adminRegister(), c.adminGate(), c.adminHouse())
}

func (c *console) adminClaim() *cobra.Command {
	r := remote{console: c}
	var claim wire.Claim
	var name string
	cmd := &cobra.Command{
		Use: "claim", Short: "become the first administrator, with the code that the first start printed", Args: cobra.NoArgs,
		Long: "Works once. The token goes into the file and nowhere else; the house keeps only its hash.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			who, err := parseMember(name, string(proofhouse.Registrar))
			if err != nil {
				return err
			}
			if r.token == "" {
				return proofhouse.Errorf(proofhouse.Invalid, nil, "name a new file for the token with --token-file")
			}
			claim.Person, claim.Organisation = who.Person, who.Organisation
			if claim.PersonTitle == "" {
				claim.PersonTitle = string(who.Person)
			}
			if claim.OrganisationTitle == "" {
				claim.OrganisationTitle = string(who.Organisation)
			}
			// The file first: a token that has nowhere to go would be lost.
			f, err := os.OpenFile(r.token, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return proofhouse.Errorf(proofhouse.Conflict, err, "the token's file cannot be made, or is there already: name a new one")
			}
			defer f.Close()
			address := r.house
			if address == "" {
				address = app.Setting("PROOFHOUSE_HOUSE", "http://"+app.HouseAddr)
			}
			claimed, err := wire.Client{URL: address}.Claim(cmd.Context(), claim)
			if err != nil {
				_ = os.Remove(r.token)
				return err
			}
			if _, err := fmt.Fprintln(f, claimed.Token); err != nil {
				return proofhouse.Errorf(proofhouse.Unavailable, err, "the token's file cannot be written")
			}
			return c.emit(map[string]string{"person": name, "token_file": r.token}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is the first administrator; the token is in %s\n", name, r.token)
			})
		},
	}
	r.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&claim.Code, "code", "", "the code")
	f.StringVar(&name, "as", "", "`PERSON@ORGANISATION`, in lower-case letters, digits and . _ - /")
	f.StringVar(&claim.PersonTitle, "title", "", "your name, as people write it")
	f.StringVar(&claim.OrganisationTitle, "organisation", "", "your organisation's name, as people write it")
	return cmd
}
