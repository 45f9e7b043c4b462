package dmarc

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// A Report is an aggregate report about one policy domain (RFC 9990). A
// [Collector] makes it. The program that sends it must set Organization, Email and
// ID.
type Report struct {
	// Organization is the name of the reporting organization, and Email its
	// address for questions. Contact has more contact information, and Generator
	// is the name of the program; both are optional.
	Organization, Email, Contact, Generator string
	// ID identifies the report among all reports about the domain. It consists of
	// letters, digits, dots and hyphens. WriteXML and FileName need it.
	ID string
	// Begin and End are the first and the last second of the reported day, in UTC.
	Begin, End time.Time
	// Domain is the domain that publishes the policy.
	Domain string
	// Record is the latest policy that the collector has seen.
	Record *Record
	// PublicSuffixList reports whether the policy was found with the public
	// suffix list.
	PublicSuffixList bool
	// Rows are the counted messages, the largest number first.
	Rows []ReportRow
	// RFC7489 selects the format of RFC 7489, appendix C, instead of the format
	// of RFC 9990.
	RFC7489 bool
}

// A ReportRow counts messages with equal properties.
type ReportRow struct {
	Source       netip.Addr // the host that sent the messages
	Count        int
	HeaderFrom   string      // the domain in From
	EnvelopeFrom string      // the domain of the reverse-path
	Passed       bool        // the result is Pass
	Applied      Disposition // the disposition that was applied
	// DKIMAligned reports whether DKIM authenticates an aligned domain.
	// SPFAligned reports the same for SPF.
	DKIMAligned, SPFAligned bool
	// Reasons explains why Applied differs from the policy.
	Reasons []Reason
	// DKIM are the results for the signatures, at most 10 of each message. SPF is
	// the result of SPF; nil if it was not checked.
	DKIM []ReportDKIM
	SPF  *ReportSPF
}

// ReportDKIM is the result for one signature.
type ReportDKIM struct{ Domain, Selector, Result, Comment string }

// ReportSPF is the result of SPF.
type ReportSPF struct{ Domain, Result, Comment string }

// FileName returns the name for the report as an attachment (RFC 9990, 3.5.2).
// receiver is the domain of the reporter. gzip reports whether the attachment is
// compressed. Characters of the policy domain other than letters, digits, dots
// and hyphens become "_".
func (r *Report) FileName(receiver string, gzip bool) string {
	extension := "xml"
	if gzip {
		extension = "xml.gz"
	}
	return fmt.Sprintf("%s!%s!%d!%d!%s.%s", receiver, fileName(r.Domain), r.Begin.Unix(), r.End.Unix(), alphanumeric(r.ID), extension)
}

// Subject returns the subject for the message with the report (RFC 9990, 3.5.2).
// receiver is the domain of the reporter.
func (r *Report) Subject(receiver string) string {
	return fmt.Sprintf("Report Domain: %s Submitter: %s Report-ID: <%s>", r.Domain, receiver, r.ID)
}

// fileName replaces all characters that host names do not have with "_". A name in
// DNS may have any octets.
func fileName(domain string) string {
	return strings.Map(func(c rune) rune {
		if c != '.' && c != '-' && alphanumeric(string(c)) == "" {
			return '_'
		}
		return c
	}, domain)
}

func alphanumeric(s string) string {
	return strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			return c
		}
		return -1
	}, s)
}

// WriteXML writes the report as XML, not compressed. It returns an error if
// Organization, Email, ID, Record, Domain or Rows is not set.
func (r *Report) WriteXML(w io.Writer) error {
	switch {
	case r.Organization == "" || r.Email == "" || r.ID == "":
		return errors.New("dmarc: the report has no Organization, Email or ID")
	case r.Record == nil || r.Domain == "" || len(r.Rows) == 0:
		return errors.New("dmarc: the report has no policy or no rows")
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(r.feedback()); err != nil {
		return fmt.Errorf("dmarc: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// The elements are in the order of RFC 9990, 3.1.1.
type (
	xmlFeedback struct {
		XMLName  xml.Name    `xml:"feedback"`
		XMLNS    string      `xml:"xmlns,attr,omitempty"`
		Version  string      `xml:"version"`
		Metadata xmlMetadata `xml:"report_metadata"`
		Policy   xmlPolicy   `xml:"policy_published"`
		Records  []xmlRecord `xml:"record"`
	}
	xmlMetadata struct {
		Organization string `xml:"org_name"`
		Email        string `xml:"email"`
		Contact      string `xml:"extra_contact_info,omitempty"`
		ID           string `xml:"report_id"`
		Begin        int64  `xml:"date_range>begin"`
		End          int64  `xml:"date_range>end"`
		Error        string `xml:"error,omitempty"`
		Generator    string `xml:"generator,omitempty"`
	}
	xmlPolicy struct {
		Domain  string `xml:"domain"`
		Method  string `xml:"discovery_method,omitempty"`
		ADKIM   string `xml:"adkim,omitempty"`
		ASPF    string `xml:"aspf,omitempty"`
		P       string `xml:"p"`
		SP      string `xml:"sp,omitempty"`
		NP      string `xml:"np,omitempty"`
		Percent string `xml:"pct,omitempty"`
		FO      string `xml:"fo,omitempty"`
		Testing string `xml:"testing,omitempty"`
	}
	xmlRecord struct {
		Source       string      `xml:"row>source_ip"`
		Count        int         `xml:"row>count"`
		Disposition  string      `xml:"row>policy_evaluated>disposition"`
		DKIM         string      `xml:"row>policy_evaluated>dkim"`
		SPF          string      `xml:"row>policy_evaluated>spf"`
		Reasons      []xmlReason `xml:"row>policy_evaluated>reason"`
		HeaderFrom   string      `xml:"identifiers>header_from"`
		EnvelopeFrom string      `xml:"identifiers>envelope_from"`
		AuthDKIM     []xmlDKIM   `xml:"auth_results>dkim"`
		AuthSPF      []xmlSPF    `xml:"auth_results>spf"`
	}
	xmlReason struct {
		Type    string `xml:"type"`
		Comment string `xml:"comment,omitempty"`
	}
	xmlDKIM struct {
		Domain   string `xml:"domain"`
		Selector string `xml:"selector"`
		Result   string `xml:"result"`
		Comment  string `xml:"human_result,omitempty"`
	}
	xmlSPF struct {
		Domain  string `xml:"domain"`
		Scope   string `xml:"scope,omitempty"`
		Result  string `xml:"result"`
		Comment string `xml:"human_result,omitempty"`
	}
)

func (r *Report) feedback() *xmlFeedback {
	f := &xmlFeedback{
		XMLNS: "urn:ietf:params:xml:ns:dmarc-2.0", Version: "1.0",
		Metadata: xmlMetadata{
			Organization: r.Organization, Email: r.Email, Contact: r.Contact, ID: r.ID,
			Begin: r.Begin.Unix(), End: r.End.Unix(), Error: text(r.Record.Err), Generator: r.Generator},
		Policy: xmlPolicy{
			Domain: r.Domain, Method: "treewalk", P: string(r.Record.Policy), SP: string(r.Record.SubdomainPolicy),
			NP: string(r.Record.NonexistentPolicy), FO: r.Record.FailureOptions, Testing: "n",
			ADKIM: mode(r.Record.StrictDKIM), ASPF: mode(r.Record.StrictSPF)},
	}
	if r.PublicSuffixList {
		f.Policy.Method = "psl"
	}
	if r.Record.Testing {
		f.Policy.Testing = "y"
	}
	if r.RFC7489 {
		f.XMLNS = ""
		f.Metadata.Generator = ""
		f.Policy.Method, f.Policy.NP, f.Policy.Testing = "", "", ""
		f.Policy.Percent = fmt.Sprint(r.Record.Percent)
		if f.Policy.SP == "" {
			f.Policy.SP = f.Policy.P
		}
	}
	for i := range r.Rows {
		f.Records = append(f.Records, r.record(&r.Rows[i]))
	}
	return f
}

func (r *Report) record(row *ReportRow) xmlRecord {
	x := xmlRecord{
		Source: row.Source.String(), Count: row.Count, Disposition: string(row.Applied),
		DKIM: passFail(row.DKIMAligned), SPF: passFail(row.SPFAligned),
		HeaderFrom: row.HeaderFrom, EnvelopeFrom: row.EnvelopeFrom,
	}
	if row.Passed && !r.RFC7489 && r.Record.Policy != NoAction {
		x.Disposition = "pass" // RFC 9990: the message passed a policy other than none
	}
	for _, reason := range row.Reasons {
		if r.RFC7489 && reason.Type == "policy_test_mode" {
			reason.Type, reason.Comment = "other", "policy_test_mode"
		}
		if !r.RFC7489 && reason.Type == "sampled_out" {
			reason.Type, reason.Comment = "other", "sampled_out"
		}
		x.Reasons = append(x.Reasons, xmlReason(reason))
	}
	for _, d := range row.DKIM {
		x.AuthDKIM = append(x.AuthDKIM, xmlDKIM(d))
	}
	if row.SPF != nil {
		x.AuthSPF = append(x.AuthSPF, xmlSPF{row.SPF.Domain, "mfrom", row.SPF.Result, row.SPF.Comment})
	}
	return x
}

func mode(strict bool) string {
	if strict {
		return "s"
	}
	return "r"
}

func passFail(pass bool) string {
	if pass {
		return "pass"
	}
	return "fail"
}
