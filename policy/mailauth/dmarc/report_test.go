package dmarc

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func observation(record, ip string) Observation {
	r, err := ParseRecord(record)
	if err != nil {
		panic(err)
	}
	return Observation{
		Source: netip.MustParseAddr(ip), EnvelopeFrom: "bounce.example.com",
		Verdict: &Verdict{Result: Fail, Author: "example.com", Domain: "example.com", Record: r, Policy: Reject, Disposition: Quarantine},
		SPF:     &spf.Verdict{Result: spf.Fail, Domain: "bounce.example.com"},
		DKIM: &dkim.Verdict{Signatures: []dkim.Signature{
			{Result: dkim.Fail, Domain: "example.com", Selector: "s1", Err: errors.New("dkim: <broken> & \x01")},
			{Result: dkim.Pass, Domain: "list.example", Selector: "s2"},
			{Result: dkim.Neutral}, // the domain could not be read
		}},
		Applied: Quarantine,
		Reasons: []Reason{{Type: "policy_test_mode"}},
	}
}

// The formats of RFC 9990 and RFC 7489, byte for byte.
func TestReportXML(t *testing.T) {
	const record = "v=DMARC1; p=reject; sp=quarantine; adkim=s; t=y; pct=50; rua=mailto:agg@example.com"
	const want9990 = `<?xml version="1.0" encoding="UTF-8"?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <version>1.0</version>
  <report_metadata>
    <org_name>Example &amp; Sons</org_name>
    <email>postmaster@receiver.example</email>
    <report_id>20261121.1</report_id>
    <date_range>
      <begin>1795219200</begin>
      <end>1795305599</end>
    </date_range>
  </report_metadata>
  <policy_published>
    <domain>example.com</domain>
    <discovery_method>treewalk</discovery_method>
    <adkim>s</adkim>
    <aspf>r</aspf>
    <p>reject</p>
    <sp>quarantine</sp>
    <fo>0</fo>
    <testing>y</testing>
  </policy_published>
  <record>
    <row>
      <source_ip>2001:db8::1</source_ip>
      <count>2</count>
      <policy_evaluated>
        <disposition>quarantine</disposition>
        <dkim>fail</dkim>
        <spf>fail</spf>
        <reason>
          <type>policy_test_mode</type>
        </reason>
      </policy_evaluated>
    </row>
    <identifiers>
      <header_from>example.com</header_from>
      <envelope_from>bounce.example.com</envelope_from>
    </identifiers>
    <auth_results>
      <dkim>
        <domain>list.example</domain>
        <selector>s2</selector>
        <result>pass</result>
      </dkim>
      <dkim>
        <domain>example.com</domain>
        <selector>s1</selector>
        <result>fail</result>
        <human_result>dkim: &lt;broken&gt; &amp; ` + "\uFFFD" + `</human_result>
      </dkim>
      <spf>
        <domain>bounce.example.com</domain>
        <scope>mfrom</scope>
        <result>fail</result>
      </spf>
    </auth_results>
  </record>
</feedback>
`
	var c Collector
	c.Add(noon, observation(record, "2001:db8::1"))
	c.Add(noon.Add(time.Hour), observation(record, "2001:db8::1"))
	reports := c.Take(noon.Add(24 * time.Hour))
	if len(reports) != 1 {
		t.Fatalf("reports %+v", reports)
	}
	r := reports[0]
	r.Organization, r.Email, r.ID = "Example & Sons", "postmaster@receiver.example", "20261121.1"
	var b strings.Builder
	if err := r.WriteXML(&b); err != nil || b.String() != want9990 {
		t.Errorf("%v:\n%s", err, b.String())
	}
	want7489 := strings.NewReplacer(
		` xmlns="urn:ietf:params:xml:ns:dmarc-2.0"`, "",
		"    <discovery_method>treewalk</discovery_method>\n", "",
		"    <testing>y</testing>\n", "",
		"    <fo>0</fo>\n", "    <pct>50</pct>\n    <fo>0</fo>\n",
		"<type>policy_test_mode</type>\n", "<type>other</type>\n          <comment>policy_test_mode</comment>\n").Replace(want9990)
	b.Reset()
	r.RFC7489 = true
	if err := r.WriteXML(&b); err != nil || b.String() != want7489 {
		t.Errorf("%v:\n%s", err, b.String())
	}
	if err := xml.Unmarshal([]byte(b.String()), new(struct{})); err != nil {
		t.Error(err)
	}
	if got := r.FileName("mail.receiver.example", true); got != "mail.receiver.example!example.com!1795219200!1795305599!202611211.xml.gz" {
		t.Errorf("file name %s", got)
	}
	if got := r.Subject("mail.receiver.example"); got != "Report Domain: example.com Submitter: mail.receiver.example Report-ID: <20261121.1>" {
		t.Errorf("subject %s", got)
	}
	if err := (&Report{}).WriteXML(&b); err == nil {
		t.Error("an empty report was written")
	}
}

// In RFC 9990, a message that passes has the disposition "pass" under a policy
// other than none, and "none" under p=none.
func TestReportOfPass(t *testing.T) {
	for policy, want := range map[string]string{"reject": "<disposition>pass<", "none": "<disposition>none<"} {
		o := observation("v=DMARC1; rua=mailto:a@example.com; p="+policy, "192.0.2.1")
		o.Verdict.Result, o.Applied, o.Reasons = Pass, NoAction, nil
		var c Collector
		c.Add(noon, o)
		r := c.Take(noon.Add(24 * time.Hour))[0]
		r.Organization, r.Email, r.ID = "x", "y", "z"
		var b strings.Builder
		if err := r.WriteXML(&b); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("p=%s: %v\n%s", policy, err, b.String())
		}
	}
}

// Each day in UTC has its own report. Take leaves the current day, no message is
// counted twice, and memory is limited.
func TestCollector(t *testing.T) {
	const record = "v=DMARC1; p=reject; rua=mailto:agg@example.com"
	c := Collector{MaxRows: 3}
	midnight := noon.Add(12 * time.Hour)
	c.Add(midnight.Add(-time.Second), observation(record, "192.0.2.1"))
	c.Add(midnight, observation(record, "192.0.2.1"))
	c.Add(midnight, observation(record, "192.0.2.2"))
	c.Add(midnight, observation(record, "192.0.2.3")) // more than MaxRows
	c.Add(midnight, observation(record, "192.0.2.2"))
	for name, change := range map[string]func(*Observation){
		"no verdict": func(o *Observation) { o.Verdict = nil },
		"no policy":  func(o *Observation) { o.Verdict.Record = nil },
		"no reports": func(o *Observation) { o.Verdict.Record.Reports = nil },
		"temperror":  func(o *Observation) { o.Verdict.Result = TempError },
		"no source":  func(o *Observation) { o.Source = netip.Addr{} },
	} {
		o := observation(record, "192.0.2.99")
		change(&o)
		c.Add(noon, o)
		if n := c.Dropped(); n != 1 {
			t.Errorf("%s: %d dropped", name, n)
		}
	}
	if first := c.Take(midnight.Add(time.Hour)); len(first) != 1 || len(first[0].Rows) != 1 || first[0].Begin != noon.Add(-12*time.Hour) {
		t.Errorf("first day: %+v", first)
	}
	second := c.Take(midnight.Add(25 * time.Hour))
	if len(second) != 1 || len(second[0].Rows) != 2 || second[0].Rows[0].Count != 2 {
		t.Errorf("second day: %+v", second)
	}
	c.Add(midnight, observation(record, "192.0.2.3")) // Take has removed rows
	if third := c.Take(midnight.Add(25 * time.Hour)); len(third) != 1 || c.Dropped() != 1 {
		t.Errorf("third: %+v, %d dropped", third, c.Dropped())
	}
}

// Long names do not exceed the memory limit. Names that are too long for DNS are
// not kept.
func TestCollectorsMemoryIsBounded(t *testing.T) {
	c := Collector{MaxRows: 1000}
	long, endless := strings.Repeat("x.", 120)+"example", strings.Repeat("y", 100_000)
	for i := range 1000 {
		o := observation("v=DMARC1; p=reject; rua=mailto:agg@example.com", "192.0.2.1")
		o.DKIM.Signatures = nil
		for j := range 12 {
			o.DKIM.Signatures = append(o.DKIM.Signatures,
				dkim.Signature{Result: dkim.Fail, Domain: long, Selector: fmt.Sprintf("s%d.%d", i, j), Err: errors.New(strings.Repeat("e", 1000))},
				dkim.Signature{Result: dkim.PermError, Domain: endless, Selector: "s"})
		}
		c.Add(noon, o)
	}
	if c.Dropped() < 800 {
		t.Errorf("%d of 1000 dropped", c.Dropped())
	}
	rows := c.Take(noon.Add(24 * time.Hour))[0].Rows
	for _, d := range rows[0].DKIM {
		if d.Domain != long {
			t.Errorf("domain %.80s...", d.Domain)
		}
	}
	if c.bytes != 0 || c.rows != 0 {
		t.Errorf("%d bytes in %d rows are left", c.bytes, c.rows)
	}
	records := Collector{MaxRows: 1000}
	for i := range 100 {
		o := observation("v=DMARC1; p=reject; rua=mailto:"+strings.Repeat("x", 50_000)+"@example.com", "192.0.2.1")
		o.Verdict.Domain = fmt.Sprintf("d%d.example", i)
		records.Add(noon, o)
	}
	if records.Dropped() < 80 {
		t.Errorf("of long records: %d of 100 dropped", records.Dropped())
	}
}

// DNS can have a policy for such a name.
func TestFileNameIsNotAPath(t *testing.T) {
	r := &Report{Domain: "x/../../etc!a\\b\n.example", ID: "1", Begin: noon, End: noon}
	if got := r.FileName("mx.example.com", false); strings.ContainsAny(got, "/\\\n") || strings.Count(got, "!") != 4 {
		t.Errorf("%q", got)
	}
}

func TestCollectorIsSafeForConcurrentUse(t *testing.T) {
	var c Collector
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				c.Add(noon, observation("v=DMARC1; p=reject; rua=mailto:a@example.com", fmt.Sprintf("192.0.2.%d", (i+j)%10)))
			}
		})
	}
	wg.Wait()
	total := 0
	for _, row := range c.Take(noon.Add(24 * time.Hour))[0].Rows {
		total += row.Count
	}
	if total != 800 {
		t.Errorf("%d messages counted", total)
	}
}

func BenchmarkCollectorAdd(b *testing.B) {
	var c Collector
	o := observation("v=DMARC1; p=reject; rua=mailto:agg@example.com", "192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		c.Add(noon, o)
	}
}
