package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var sts = Policy{Type: STS, Strings: []string{"version: STSv1", "mode: testing"}, MXHosts: []string{"*.example.net"}}

// fill counts three sessions of two domains.
func fill(c *Collector) {
	c.Record(Session{Domain: "Example.net", Policy: sts, MXHost: "mx.example.net"})
	for range 2 {
		c.Record(Session{Domain: "example.net", Policy: sts, Result: CertificateExpired, MXHost: "mx.example.net", ReceivingIP: "192.0.2.1", SendingIP: "198.51.100.1", MXHelo: "mx", Info: "expired yesterday"})
	}
	c.Record(Session{Domain: "example.net", Policy: Policy{Type: TLSA, Strings: []string{"3 1 1 00"}}})
	c.Record(Session{Domain: "example.com", Policy: Policy{Type: NoPolicy}, Result: StartTLSNotSupported})
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Collector{Organization: "Example Relay", Contact: "postmaster@relay.example"}
		fill(c)
		time.Sleep(24 * time.Hour)
		reports := c.Take(time.Now())
		if len(reports) != 2 || reports[0].Domain != "example.com" || reports[1].Domain != "example.net" {
			t.Fatalf("%+v", reports)
		}
		reports[1].ID = "20000101.ABC.example.net"
		got, err := json.MarshalIndent(reports[1], "", " ")
		if err != nil {
			t.Fatal(err)
		}
		// The form of RFC 8460, appendix B.
		const want = `{
 "organization-name": "Example Relay",
 "date-range": {
  "start-datetime": "2000-01-01T00:00:00Z",
  "end-datetime": "2000-01-02T00:00:00Z"
 },
 "contact-info": "postmaster@relay.example",
 "report-id": "20000101.ABC.example.net",
 "policies": [
  {
   "policy": {
    "policy-type": "sts",
    "policy-string": [
     "version: STSv1",
     "mode: testing"
    ],
    "policy-domain": "example.net",
    "mx-host": [
     "*.example.net"
    ]
   },
   "summary": {
    "total-successful-session-count": 1,
    "total-failure-session-count": 2
   },
   "failure-details": [
    {
     "result-type": "certificate-expired",
     "sending-mta-ip": "198.51.100.1",
     "receiving-mx-hostname": "mx.example.net",
     "receiving-mx-helo": "mx",
     "receiving-ip": "192.0.2.1",
     "failed-session-count": 2,
     "additional-information": "expired yesterday"
    }
   ]
  },
  {
   "policy": {
    "policy-type": "tlsa",
    "policy-string": [
     "3 1 1 00"
    ],
    "policy-domain": "example.net"
   },
   "summary": {
    "total-successful-session-count": 1,
    "total-failure-session-count": 0
   }
  }
 ]
}`
		if string(got) != want {
			t.Errorf("report:\n%s\nwant:\n%s", got, want)
		}
		if again := c.Take(time.Now()); len(again) != 0 {
			t.Errorf("reported twice: %+v", again)
		}
	})
}

// The counts are bounded. Within a policy, every failure is counted.
// A report is read from its own JSON, with the domain that its policies name.
func TestReportJSON(t *testing.T) {
	r := &Report{
		Domain: "example.net", Organization: "Example", Contact: "tls@example.com", ID: "1.example.net@example.com",
		Start: time.Unix(1700000000, 0).UTC(), End: time.Unix(1700086399, 0).UTC(),
		Policies: []PolicyResult{{
			Policy:   PolicyDetails{Type: "sts", Strings: []string{"version: STSv1"}, Domain: "example.net", MXHosts: []string{"mx.example.net"}},
			Summary:  Summary{Successful: 3, Failed: 1},
			Failures: []FailureDetails{{ResultType: "certificate-expired", MXHost: "mx.example.net", Count: 1}},
		}},
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(&back, r) {
		t.Errorf("%+v, %v, want %+v", back, err, r)
	}
	if err := json.Unmarshal([]byte(`{"policies":1}`), &back); err == nil {
		t.Error("a report without a list of policies is read")
	}
}

func TestBounds(t *testing.T) {
	c := &Collector{}
	for i := range maxDomains + 5 {
		c.Record(Session{Domain: fmt.Sprintf("d%d.example", i), Policy: sts})
	}
	for i := range maxPolicies + 5 {
		c.Record(Session{Domain: "d0.example", Policy: Policy{Type: TLSA, Strings: []string{fmt.Sprint(i)}}})
	}
	for i := range maxFailures + 5 {
		c.Record(Session{Domain: "d1.example", Policy: sts, Result: ValidationFailure, MXHost: fmt.Sprint(i), Info: strings.Repeat("ü", 1000)})
	}
	reports := c.Take(time.Now())
	if len(reports) != maxDomains {
		t.Errorf("%d domains", len(reports))
	}
	for _, r := range reports {
		switch {
		case r.Domain == "d0.example" && len(r.Policies) != maxPolicies:
			t.Errorf("%d policies", len(r.Policies))
		case r.Domain == "d1.example":
			p := r.Policies[0]
			if len(p.Failures) != maxFailures || p.Summary.Failed != maxFailures+5 || len(p.Failures[0].Info) > maxInfo {
				t.Errorf("%d kinds of failure, %d failures", len(p.Failures), p.Summary.Failed)
			}
		}
	}
}

// The message is a multipart/report whose second part is the report.
func TestMessage(t *testing.T) {
	c := &Collector{Organization: "Example Relay"}
	fill(c)
	r := c.Take(time.Now())[1]
	raw, err := r.Message("tlsrpt@relay.example", "tls@example.net", "relay.example")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"TLS-Report-Domain": "example.net", "TLS-Report-Submitter": "relay.example", "TLS-Required": "No", "To": "<tls@example.net>",
		"Subject": "Report Domain: example.net Submitter: relay.example Report-ID: <" + r.ID + ">",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Fatalf("%s %v %v", kind, params, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	if p, err := parts.NextPart(); err != nil || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/plain") {
		t.Fatal(err)
	}
	p, err := parts.NextPart()
	if err != nil || p.Header.Get("Content-Type") != "application/tlsrpt+gzip" || p.FileName() != r.Filename("relay.example") {
		t.Fatalf("%v %v", p, err)
	}
	equal(t, r, base64.NewDecoder(base64.StdEncoding, p))
	if bytes.Count(raw, []byte("\n")) != bytes.Count(raw, []byte("\r\n")) {
		t.Error("bare LF")
	}
	if _, err := r.Message("a@b\r\nBcc: c", "x", "y"); err == nil {
		t.Error("a line end got into the header")
	}
}

func TestPost(t *testing.T) {
	c := &Collector{}
	fill(c)
	r := c.Take(time.Now())[1]
	status := 201
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != "POST" || req.Header.Get("Content-Type") != "application/tlsrpt+gzip" {
			t.Errorf("%s %v", req.Method, req.Header)
		}
		equal(t, r, req.Body)
		w.WriteHeader(status)
	}))
	defer web.Close()
	if err := r.Post(t.Context(), web.Client(), web.URL); err != nil {
		t.Error(err)
	}
	status = 500
	if err := r.Post(t.Context(), web.Client(), web.URL); err == nil {
		t.Error("status 500: no error")
	}
	if err := r.Post(t.Context(), web.Client(), "http://example.net"); err == nil {
		t.Error("posted in plain text")
	}
}

// equal compares a compressed report with the expected report.
func equal(t *testing.T, r *Report, packed io.Reader) {
	t.Helper()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Error(err)
		return
	}
	got, err := io.ReadAll(z)
	want, _ := json.Marshal(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestParseRecord(t *testing.T) {
	for _, tt := range []struct {
		txts []string
		want []string
	}{
		{[]string{"v=TLSRPTv1; rua=mailto:reports@example.com"}, []string{"mailto:reports@example.com"}},
		{[]string{"other", "v=TLSRPTv1;rua=mailto:a@b , https://c/d; x=y"}, []string{"mailto:a@b", "https://c/d"}},
		{[]string{"v=TLSRPTv1; rua=http://c/d"}, nil},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b", "v=TLSRPTv1; rua=mailto:c@d"}, nil},
		{[]string{"v=TLSRPTv1"}, nil},
		{nil, nil},
	} {
		if got := ParseRecord(tt.txts); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q", tt.txts, got)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=TLSRPTv1; rua=mailto:a@b,https://c/d", "other")
	f.Add("v=TLSRPTv1;rua=,,;rua=MAILTO:x", "v=TLSRPTv1")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, uri := range ParseRecord([]string{a, b}) {
			if l := strings.ToLower(uri); !strings.HasPrefix(l, "mailto:") && !strings.HasPrefix(l, "https:") {
				t.Fatalf("%q from %q and %q", uri, a, b)
			}
		}
	})
}

// Long texts from a policy or a host are truncated.
func TestCountsAreSmall(t *testing.T) {
	c := &Collector{}
	long := make([]string, 1000)
	for i := range long {
		long[i] = "mx: " + strings.Repeat("x", 60)
	}
	for i := range 3 {
		long[999] = fmt.Sprint("version ", i) // beyond what is kept
		c.Record(Session{Domain: "example.com", Policy: Policy{Type: STS, Strings: long, MXHosts: long}, Result: ValidationFailure,
			MXHelo: strings.Repeat("h", 4000), Info: strings.Repeat("i", 4000)})
	}
	b, err := json.Marshal(c.Take(time.Now())[0])
	if err != nil || len(b) > 20<<10 {
		t.Errorf("a report of %d bytes, %v", len(b), err)
	}
	if n := strings.Count(string(b), `"policy-type"`); n != 1 {
		t.Errorf("%d policies", n)
	}
}
