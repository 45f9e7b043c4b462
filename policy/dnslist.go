package policy

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// A DNSList is a list of addresses that is asked by DNS (RFC 5782): a block
// list or an allow list. One that lists even the address that must not be
// listed (127.0.0.1), as lists do that have come to their end, counts as one
// that cannot be asked.
type DNSList struct {
	// Zone is the list's domain, as "zen.spamhaus.org".
	Zone string
	// Codes are the answers that count. Default all of 127.0.0.0/8 but
	// 127.0.0.1 and 127.255.255.0/24, by which lists tell errors. Answers
	// outside 127.0.0.0/8 never count: they come from resolvers that lie.
	Codes []netip.Prefix
	// Weight is what a block list's listing adds; see
	// ConnectionFilter.Threshold. Default 1.
	Weight int
	// Reply is the text of the refusal; {ip} and {zone} stand for the
	// client's address and the list. Default "{ip} is listed by {zone}".
	Reply string
	// Optional: when the list cannot be asked, the judgement goes on without
	// it. Otherwise a client that the list might block has to come again.
	Optional bool
	// NoIPv6: the list knows no IPv6 addresses and is not asked about them.
	NoIPv6 bool

	test *listTest // nil: not tested
}

var (
	dnsListAnswers = netip.MustParsePrefix("127.0.0.0/8")
	dnsListErrors  = netip.MustParsePrefix("127.255.255.0/24") // Spamhaus: "query refused", not "listed"
	dnsListNothing = netip.MustParseAddr("127.0.0.1")          // a host itself, as resolvers say that lie
)

// counts says whether an answer means that the address is listed.
func (l *DNSList) counts(answer netip.Addr) bool {
	if !dnsListAnswers.Contains(answer) {
		return false
	}
	if len(l.Codes) == 0 {
		return answer != dnsListNothing && !dnsListErrors.Contains(answer)
	}
	for _, p := range l.Codes {
		if p.Contains(answer) {
			return true
		}
	}
	return false
}

func (l *DNSList) weight() int {
	if l.Weight == 0 {
		return 1
	}
	return l.Weight
}

// refusal is the reply to a client that is listed.
func (l *DNSList) refusal(ip netip.Addr) error {
	text := l.Reply
	if text == "" {
		text = "{ip} is listed by {zone}"
	}
	text = strings.NewReplacer("{ip}", ip.String(), "{zone}", l.Zone).Replace(text)
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: text}
}

// lookup asks the list about an address.
func (l *DNSList) lookup(ctx context.Context, r Resolver, ip netip.Addr) (bool, error) {
	if ip.Is6() && l.NoIPv6 {
		return false, nil
	}
	listed, err := l.ask(ctx, r, ip)
	if listed && l.test != nil {
		err = l.test.passed(ctx, r, l, ip)
	}
	return listed && err == nil, err
}

func (l *DNSList) ask(ctx context.Context, r Resolver, ip netip.Addr) (bool, error) {
	answers, err := r.LookupNetIP(ctx, "ip4", rooted(dnsListName(ip, l.Zone)))
	if err != nil {
		if notFound(err) {
			return false, nil
		}
		return false, fmt.Errorf("policy: list %s: %w", l.Zone, err)
	}
	for _, a := range answers {
		if l.counts(a.Unmap()) {
			return true, nil
		}
	}
	return false, nil
}

// listTest finds out whether a list lists the whole world.
type listTest struct {
	mu   sync.Mutex               // guards what follows
	sane map[netip.Addr]time.Time // by what must not be listed: when it was not
}

// What must not be listed, and for how long that is believed.
var (
	notListed4 = netip.MustParseAddr("127.0.0.1")        // RFC 5782, 5
	notListed6 = netip.MustParseAddr("::ffff:127.0.0.1") // asked as the IPv6 address that it is
)

const listTestLife = time.Hour

// passed is nil when the list may be believed about an address.
func (t *listTest) passed(ctx context.Context, r Resolver, l *DNSList, ip netip.Addr) error {
	not := notListed4
	if ip.Is6() {
		not = notListed6
	}
	t.mu.Lock()
	at := t.sane[not]
	t.mu.Unlock()
	if time.Since(at) < listTestLife {
		return nil
	}
	switch listed, err := l.ask(ctx, r, not); {
	case err != nil:
		return err
	case listed:
		return fmt.Errorf("policy: list %s lists %v, and so perhaps the whole world", l.Zone, not)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sane == nil {
		t.sane = make(map[netip.Addr]time.Time)
	}
	t.sane[not] = time.Now()
	return nil
}

// dnsListName is the name to ask about: the octets, or for IPv6 the nibbles,
// from the last to the first (RFC 5782, 2.1 and 2.4).
func dnsListName(ip netip.Addr, zone string) string {
	b := make([]byte, 0, 64+len(zone)+1)
	raw := ip.AsSlice()
	for i := len(raw) - 1; i >= 0; i-- {
		if ip.Is4() {
			b = fmt.Appendf(b, "%d.", raw[i])
		} else {
			b = fmt.Appendf(b, "%x.%x.", raw[i]&15, raw[i]>>4)
		}
	}
	return string(append(b, zone...))
}

// listing is what one list said.
type listing struct {
	list   *DNSList
	listed bool
	err    error
}

// askLists asks all lists at the same time, and returns their answers in the
// lists' order. Each has time until ctx ends, dnsTime at most.
func askLists(ctx context.Context, r Resolver, ip netip.Addr, lists []DNSList) []listing {
	ctx, cancel := context.WithTimeout(ctx, dnsListTime)
	defer cancel()
	answers := make([]listing, len(lists))
	var wg sync.WaitGroup
	for i := range lists {
		wg.Go(func() {
			a := &answers[i]
			a.list = &lists[i]
			a.listed, a.err = a.list.lookup(ctx, r, ip)
		})
	}
	wg.Wait()
	return answers
}

// dnsListTime is how long lists are waited for: what an honest list needs for
// an answer, many times over.
const dnsListTime = 5 * time.Second
