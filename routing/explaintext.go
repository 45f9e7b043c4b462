package routing

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// String returns the explanation as text of several lines.
func (e *Explanation) String() string {
	var b strings.Builder
	from := e.Question.From
	if from == "" {
		from = "<>"
	}
	fmt.Fprintf(&b, "from %s to %s, %d bytes\n", from, e.Question.To, e.Question.Size)
	b.WriteString("connectors:\n")
	for _, k := range e.Candidates {
		mark, space := "-", ""
		if k.Chosen {
			mark = "*"
		}
		if k.Space != "" {
			space = fmt.Sprintf(" (%s, cost %d)", k.Space, k.Cost)
		}
		fmt.Fprintf(&b, "  %s %s%s: %s\n", mark, k.Connector, space, k.Reason)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, "no route: %s\n", replyText(e.Err))
		return b.String()
	}
	fmt.Fprintf(&b, "next hop: %s\n", e.Hop)
	switch {
	case e.Held && e.Until.IsZero():
		b.WriteString("held until it is requested\n")
	case e.Held:
		fmt.Fprintf(&b, "held until %s\n", e.Until.Format(time.RFC1123))
	}
	e.writeHosts(&b)
	return b.String()
}

// replyText returns an error as the text of an SMTP reply.
func replyText(err error) string {
	var r *smtp.SMTPError
	if !errors.As(err, &r) {
		return err.Error()
	}
	return fmt.Sprintf("%d %d.%d.%d %s", r.Code, r.EnhancedCode[0], r.EnhancedCode[1], r.EnhancedCode[2], r.Message)
}

func (e *Explanation) writeHosts(b *strings.Builder) {
	if e.HostsErr != nil {
		fmt.Fprintf(b, "no hosts: %v\n", e.HostsErr)
	}
	if len(e.Hosts) > 0 {
		fmt.Fprintf(b, "hosts (TLS %s):\n", e.TLS)
	}
	for _, h := range e.Hosts {
		fmt.Fprintf(b, "  %s", h.Name)
		for _, a := range h.Addrs {
			fmt.Fprintf(b, " %s", a)
		}
		switch {
		case h.Err != nil:
			fmt.Fprintf(b, " not used: %v", h.Err)
		case h.Socket != "":
			fmt.Fprintf(b, " %s", h.Socket)
		}
		switch {
		case h.DANE != nil && h.DANE.Err != nil:
			fmt.Fprintf(b, " (DANE: %v)", h.DANE.Err)
		case h.DANE != nil:
			fmt.Fprintf(b, " (DANE: %d TLSA records)", len(h.DANE.Records))
		}
		b.WriteByte('\n')
	}
	if len(e.Probes) > 0 {
		b.WriteString("probes:\n")
	}
	for _, p := range e.Probes {
		writeProbe(b, &p)
	}
	if e.ProbeErr != nil {
		fmt.Fprintf(b, "probing failed: %v\n", e.ProbeErr)
	}
}

func writeProbe(b *strings.Builder, p *smtpclient.Probe) {
	fmt.Fprintf(b, "  %s %s: ", p.Host, p.Addr)
	if p.Err != nil {
		fmt.Fprintf(b, "%v\n", p.Err)
		return
	}
	fmt.Fprintf(b, "%q", p.Greeting)
	if p.TLS != nil {
		fmt.Fprintf(b, ", %s %s (policy %s)", tls.VersionName(p.TLS.Version),
			tls.CipherSuiteName(p.TLS.CipherSuite), p.Policy)
	} else {
		fmt.Fprintf(b, ", no TLS (policy %s)", p.Policy)
	}
	var keywords []string
	for k, params := range p.Extensions {
		keywords = append(keywords, strings.TrimSpace(k+" "+params))
	}
	slices.Sort(keywords)
	fmt.Fprintf(b, "; %s\n", strings.Join(keywords, ", "))
}
