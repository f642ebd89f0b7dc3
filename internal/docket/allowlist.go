package docket

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"

	"proofhouse/internal/proofhouse"
)

// Limits of an allow-list.
const (
	maxAllowList = 4 << 20 // bytes
	maxAllowRows = 10_000
)

// RowError says what is wrong with one row.
type RowError struct {
	Line int // of the file, from 1
	Err  error
}

// Error implements error; it quotes nothing of the row.
func (e RowError) Error() string {
	return fmt.Sprintf("line %d: %s", e.Line, proofhouse.PublicOf(e.Err))
}

// ParseAllowList reads partners from CSV (RFC 4180) in UTF-8, with the header
// "organisation,title". Rows that are wrong are told one by one, and the others
// are given; a caller that wants all or nothing looks at the errors first. A
// file that is no such list at all is an error, proofhouse.Invalid.
func ParseAllowList(b []byte) ([]Nominate, []RowError, error) {
	all, _, wrong, err := parseAllowList(b)
	return all, wrong, err
}

// parseAllowList gives the line of each row that was read, too.
func parseAllowList(b []byte) ([]Nominate, map[proofhouse.OrganisationID]int, []RowError, error) {
	if len(b) > maxAllowList {
		return nil, nil, nil, proofhouse.Errorf(proofhouse.Invalid, nil, "an allow-list has at most %d bytes", maxAllowList)
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff")))) // as spreadsheets write it
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil || !slices.Equal(header, []string{"organisation", "title"}) {
		return nil, nil, nil, proofhouse.Errorf(proofhouse.Invalid, err, `an allow-list begins with the line "organisation,title"`)
	}
	var all []Nominate
	var wrong []RowError
	lines := map[proofhouse.OrganisationID]int{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all, lines, wrong, nil
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			// What follows a stray quote cannot be told apart from it.
			return all, lines, append(wrong, RowError{bad.StartLine, proofhouse.Errorf(proofhouse.Invalid, err, "a quote is out of place; nothing from here on was read")}), nil
		}
		if err != nil {
			return nil, nil, nil, err
		}
		line, _ := r.FieldPos(0)
		if len(all)+len(wrong) == maxAllowRows {
			return all, lines, append(wrong, RowError{line, proofhouse.Errorf(proofhouse.Limit, nil, "an allow-list has at most %d rows; nothing from here on was read", maxAllowRows)}), nil
		}
		n, err := allowed(row)
		if first := lines[n.Organisation]; err == nil && first > 0 {
			err = proofhouse.Errorf(proofhouse.Conflict, nil, "the organisation is on line %d already", first)
		}
		if err != nil {
			wrong = append(wrong, RowError{line, err})
			continue
		}
		lines[n.Organisation] = line
		all = append(all, n)
	}
}

func allowed(row []string) (Nominate, error) {
	if len(row) != 2 {
		return Nominate{}, proofhouse.Errorf(proofhouse.Invalid, nil, "there are %d fields, want 2", len(row))
	}
	n := Nominate{Organisation: proofhouse.OrganisationID(row[0]), Title: row[1]}
	if err := name("the organisation", row[0]); err != nil {
		return n, err
	}
	return n, plain("the title", row[1])
}
