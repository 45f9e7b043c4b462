package program

import (
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
)

// A List is the value of a setting with several values. On the command line they
// are separated by commas; the flag may also be repeated.
type List []string

// String implements flag.Value.
func (l *List) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *List) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}

func (l *List) repeats() {}

// Networks is the value of a setting with networks and addresses.
type Networks []netip.Prefix

// String implements flag.Value.
func (n *Networks) String() string {
	texts := make([]string, len(*n))
	for i, p := range *n {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

// Set implements flag.Value.
func (n *Networks) Set(text string) error {
	more, err := policy.ParseNetworks(text)
	*n = append(*n, more...)
	return err
}

func (n *Networks) repeats() {}

// A Size is the value of a setting in bytes. It may have a unit: 30M and 30MiB are
// 30 * 1024 * 1024 bytes.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}}

// String implements flag.Value.
func (s *Size) String() string {
	for _, u := range units {
		if n := int64(*s); n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Set implements flag.Value.
func (s *Size) Set(text string) error {
	for _, u := range units {
		digits, found := strings.CutSuffix(strings.TrimSpace(text), u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 1 || n > 1<<40/u.bytes {
			break
		}
		*s = Size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size, such as 36M", text)
}

// repeated is a flag.Value that keeps the values of earlier calls of Set.
type repeated interface{ repeats() }

// Words is the value of a setting whose values are taken as they are, also with commas
// and spaces, such as the arguments of a command. On the command line the flag is
// repeated.
type Words []string

// String implements flag.Value.
func (w *Words) String() string { return strings.Join(*w, " ") }

// Set implements flag.Value.
func (w *Words) Set(text string) error {
	*w = append(*w, text)
	return nil
}

func (w *Words) repeats() {}

// Choice returns the value of a setting that is one of several words. The text that
// value points to is the default.
func Choice(value *string, words ...string) flag.Value { return &choice{value, words} }

type choice struct {
	value *string
	words []string
}

// String implements flag.Value.
func (c *choice) String() string {
	if c.value == nil { // package flag makes one to find out whether a default is the zero value
		return ""
	}
	return *c.value
}

// Set implements flag.Value.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.words, text) {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(c.words, ", "))
	}
	*c.value = text
	return nil
}
