package doubling

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A quadratic function is found, and a linear one is not.
func TestTime(t *testing.T) {
	linear := func(s string) { _ = strings.Count(s, "ab") }
	quadratic := func(s string) {
		n := 0
		for i := range len(s) / 4 {
			n += strings.IndexByte(s[i:], 'z')
		}
		_ = n
	}
	Time(t, map[string]func(string){"linear": linear}, Units)
	small, large := strings.Repeat("a", short), strings.Repeat("a", long)
	if s, l := took(quadratic, small, 2), took(quadratic, large, 2); l < enough || float64(l) < factor*factor*factor*float64(s) {
		t.Errorf("a quadratic function is not found: %v for %d, %v for %d", s, short, l, long)
	}
}
