package policy

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// A DNSList is a block list or allow list in the DNS (RFC 5782). Some lists
// contain every address after they have been shut down. Therefore, a list that
// contains the address 127.0.0.1, which RFC 5782 forbids, is treated as if it
// did not answer.
type DNSList struct {
	// Zone is the domain of the list, for example "zen.spamhaus.org".
	Zone string
	// Codes are the answers that mean that the address is listed. Default
	// 127.0.0.0/8 except 127.0.0.1 and 127.255.255.0/24; lists use these two
	// for errors. Answers outside 127.0.0.0/8 are always ignored, because they
	// come from resolvers that falsify answers.
	Codes []netip.Prefix
	// Weight is added to the sum if the client is on this block list; see
	// ConnectionFilter.Threshold. Default 1.
	Weight int
	// Reply is the text of the refusal. {ip} is replaced by the client's
	// address, {zone} by Zone. Default "{ip} is listed by {zone}".
	Reply string
	// Optional means that the filter ignores the list if it does not answer.
	// Otherwise a client gets a temporary error if the list could have changed
	// the result.
	Optional bool
	// NoIPv6 means that the list has no IPv6 addresses. The filter does not
	// look up IPv6 addresses in it.
	NoIPv6 bool

	test *listTest // nil: not tested
}

var (
	dnsListAnswers = netip.MustParsePrefix("127.0.0.0/8")
	dnsListErrors  = netip.MustParsePrefix("127.255.255.0/24") // Spamhaus: "query refused", not "listed"
	dnsListNothing = netip.MustParseAddr("127.0.0.1")          // the host itself; some resolvers falsify answers this way
)

// counts reports whether an answer means that the address is listed.
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

// refusal returns the reply to a listed client.
func (l *DNSList) refusal(ip netip.Addr) error {
	text := l.Reply
	if text == "" {
		text = "{ip} is listed by {zone}"
	}
	text = strings.NewReplacer("{ip}", ip.String(), "{zone}", l.Zone).Replace(text)
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: text}
}

// lookup reports whether the list lists an address.
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
	answers, err := resolver.Addrs(ctx, r, dnsListName(ip, l.Zone), resolver.TypeA)
	if err != nil {
		if resolver.IsNotFound(err) {
			return false, nil
		}
		return false, fmt.Errorf("policy: DNS list %s: %w", l.Zone, err)
	}
	for _, a := range answers {
		if l.counts(a) {
			return true, nil
		}
	}
	return false, nil
}

// listTest tests whether a list lists every address.
type listTest struct {
	mu   sync.Mutex               // guards the fields below
	sane map[netip.Addr]time.Time // address that must not be listed -> time of the last good test
}

// Addresses that must not be listed.
var (
	notListed4 = netip.MustParseAddr("127.0.0.1")        // RFC 5782, 5
	notListed6 = netip.MustParseAddr("::ffff:127.0.0.1") // asked as the IPv6 address that it is
)

// listTestLife is how long the result of a good test is used.
const listTestLife = time.Hour

// passed returns nil if the answers of the list for an address can be used.
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
		return fmt.Errorf("policy: DNS list %s contains %v, so it may contain every address", l.Zone, not)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sane == nil {
		t.sane = make(map[netip.Addr]time.Time)
	}
	t.sane[not] = time.Now()
	return nil
}

// dnsListName returns the name to look up: the octets, or for IPv6 the
// nibbles, in reverse order (RFC 5782, 2.1 and 2.4).
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

// listing is the answer of one list.
type listing struct {
	list   *DNSList
	listed bool
	err    error
}

// askLists asks all lists at the same time. It returns their answers in the
// order of the lists. Each list must answer before ctx ends, and within
// dnsListTime.
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

// dnsListTime is the longest wait for lists. It is many times what a working
// list needs.
const dnsListTime = 5 * time.Second
