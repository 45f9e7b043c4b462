package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Report is the report of one organization to one domain about a period (RFC
// 8460, 4.4).
type Report struct {
	Domain       string // the domain that gets the report
	Organization string
	Contact      string
	ID           string
	Start, End   time.Time
	Policies     []PolicyResult
}

// A PolicyResult contains the counts of the sessions to which one policy
// applied.
type PolicyResult struct {
	Policy   PolicyDetails    `json:"policy"`
	Summary  Summary          `json:"summary"`
	Failures []FailureDetails `json:"failure-details,omitempty"`
}

// PolicyDetails describe a policy in a report.
type PolicyDetails struct {
	Type    string   `json:"policy-type"`
	Strings []string `json:"policy-string,omitempty"`
	Domain  string   `json:"policy-domain"`
	MXHosts []string `json:"mx-host,omitempty"`
}

// A Summary contains the numbers of sessions.
type Summary struct {
	Successful int64 `json:"total-successful-session-count"`
	Failed     int64 `json:"total-failure-session-count"`
}

// FailureDetails describe one kind of failure.
type FailureDetails struct {
	ResultType  string `json:"result-type"`
	SendingIP   string `json:"sending-mta-ip,omitempty"`
	MXHost      string `json:"receiving-mx-hostname,omitempty"`
	MXHelo      string `json:"receiving-mx-helo,omitempty"`
	ReceivingIP string `json:"receiving-ip,omitempty"`
	Count       int64  `json:"failed-session-count"`
	Info        string `json:"additional-information,omitempty"`
}

type dateRange struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

// jsonReport is the form of a report in RFC 8460, 4.4.
type jsonReport struct {
	Organization string         `json:"organization-name"`
	Range        dateRange      `json:"date-range"`
	Contact      string         `json:"contact-info"`
	ID           string         `json:"report-id"`
	Policies     []PolicyResult `json:"policies"`
}

// MarshalJSON returns the report in the form of RFC 8460, 4.4.
func (r *Report) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonReport{r.Organization, dateRange{r.Start, r.End}, r.Contact, r.ID, r.Policies})
}

// UnmarshalJSON reads a report in the form of RFC 8460, 4.4. That form has no
// field for Domain: Domain is set to the domain of the first policy.
func (r *Report) UnmarshalJSON(b []byte) error {
	var j jsonReport
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*r = Report{Organization: j.Organization, Contact: j.Contact, ID: j.ID, Start: j.Range.Start, End: j.Range.End, Policies: j.Policies}
	if len(j.Policies) > 0 {
		r.Domain = j.Policies[0].Policy.Domain
	}
	return nil
}

// WriteGzip writes the report as application/tlsrpt+gzip.
func (r *Report) WriteGzip(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(w)
	if _, err := z.Write(b); err != nil {
		return err
	}
	return z.Close()
}

// Filename returns the file name of the report (RFC 8460, 5.1). sender is the
// domain name of the sender.
func (r *Report) Filename(sender string) string {
	return fmt.Sprintf("%s!%s!%d!%d!%s.json.gz", sender, r.Domain, r.Start.Unix(), r.End.Unix(), strings.SplitN(r.ID, ".", 3)[1])
}

// Message returns the report as a mail message (RFC 8460, 5.3). from is an
// address in the domain sender, and to is the address of a mailto: URI. Sign
// the message with DKIM; otherwise receivers do not accept the report. The
// header contains "TLS-Required: No" (RFC 8689, 3): the message is delivered
// even if TLS fails, and its session is not included in the next report. RFC
// 8460, 3 requires both. Message returns an error if an argument, or a field of
// the report that the header contains, has a line end or a quotation mark.
func (r *Report) Message(from, to, sender string) ([]byte, error) {
	for _, s := range []string{from, to, sender, r.Domain, r.ID, r.Organization} {
		if strings.ContainsAny(s, "\r\n\"") {
			return nil, fmt.Errorf("tlsrpt: %q is not allowed in a header", s)
		}
	}
	var packed bytes.Buffer
	if err := r.WriteGzip(&packed); err != nil {
		return nil, err
	}
	boundary := "tlsrpt-" + strings.SplitN(r.ID, ".", 3)[1]
	var b bytes.Buffer
	header := []string{
		"From: <" + from + ">",
		"To: <" + to + ">",
		"Date: " + r.End.Format("Mon, 02 Jan 2006 15:04:05 -0700"),
		"Subject: Report Domain: " + r.Domain,
		" Submitter: " + sender,
		" Report-ID: <" + r.ID + ">",
		"Message-ID: <" + r.ID + "@" + sender + ">",
		"TLS-Report-Domain: " + r.Domain,
		"TLS-Report-Submitter: " + sender,
		"TLS-Required: No",
		"MIME-Version: 1.0",
		`Content-Type: multipart/report; report-type="tlsrpt";`,
		` boundary="` + boundary + `"`,
		"",
		"--" + boundary,
		"Content-Type: text/plain; charset=us-ascii",
		"",
		"This is an aggregate report about TLS sessions with the mail hosts of",
		r.Domain + ", from " + r.Start.Format(time.RFC3339) + " to " + r.End.Format(time.RFC3339) + ".",
		"",
		"--" + boundary,
		"Content-Type: application/tlsrpt+gzip",
		"Content-Transfer-Encoding: base64",
		"Content-Disposition: attachment;",
		` filename="` + r.Filename(sender) + `"`,
		"",
		"",
	}
	b.WriteString(strings.Join(header, "\r\n"))
	encoded := base64.StdEncoding.EncodeToString(packed.Bytes())
	for len(encoded) > 0 {
		n := min(len(encoded), 76)
		b.WriteString(encoded[:n] + "\r\n")
		encoded = encoded[n:]
	}
	b.WriteString("--" + boundary + "--\r\n")
	return b.Bytes(), nil
}

// Post sends the report to an https: URI (RFC 8460, 5.4). If client is nil, it
// uses http.DefaultClient. A status other than 2xx is an error.
func (r *Report) Post(ctx context.Context, client *http.Client, uri string) error {
	if u, err := url.Parse(uri); err != nil || u.Scheme != "https" {
		return fmt.Errorf("tlsrpt: %q is not an https: URI", uri)
	}
	var packed bytes.Buffer
	if err := r.WriteGzip(&packed); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, &packed)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/tlsrpt+gzip")
	req.ContentLength = int64(packed.Len())
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("tlsrpt: %s: status %s", uri, strconv.Itoa(resp.StatusCode))
	}
	return nil
}

// maxURIs is the maximum number of URIs of one record.
const maxURIs = 10

// ParseRecord parses the TXT records of _smtp._tls.DOMAIN. It returns the
// mailto: and https: URIs to which the domain wants reports, at most 10. It
// returns none if there is no valid record or more than one (RFC 8460, 3).
func ParseRecord(txts []string) []string {
	var uris []string
	found := 0
	for _, txt := range txts {
		version, rest, _ := strings.Cut(txt, ";")
		if strings.TrimSpace(version) != "v=TLSRPTv1" {
			continue
		}
		found++
		for field := range strings.SplitSeq(rest, ";") {
			list, ok := strings.CutPrefix(strings.TrimSpace(field), "rua=")
			if !ok {
				continue
			}
			for uri := range strings.SplitSeq(list, ",") {
				uri = strings.TrimSpace(uri)
				lower := strings.ToLower(uri)
				if (strings.HasPrefix(lower, "mailto:") || strings.HasPrefix(lower, "https:")) && len(uris) < maxURIs {
					uris = append(uris, uri)
				}
			}
		}
	}
	if found != 1 {
		return nil
	}
	return uris
}
