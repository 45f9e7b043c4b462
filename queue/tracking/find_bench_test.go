package tracking

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkFind measures a page of a search in a log of 64 MiB: one without a result,
// which reads all of it, and the newest entries.
func BenchmarkFind(b *testing.B) {
	var text strings.Builder
	for i := 0; text.Len() < 64<<20; i++ {
		text.WriteString(line(i%60, "SEND", fmt.Sprintf("1lg4bs81abd3ea-%d.1", i), "", "alice@example.com", fmt.Sprintf("bob%d@example.net", i), "Lunch"))
	}
	dir := writeLog(b, text.String())
	for name, f := range map[string]Filter{"none": {Recipient: "nobody@example.org"}, "part of a word": {Recipient: "*nobody*"}, "newest": {}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				page, err := Find(context.Background(), dir, f, Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(page.Examined)
			}
		})
	}
	b.Run("timeline", func(b *testing.B) {
		for b.Loop() {
			if _, err := Timeline(context.Background(), dir, "1lg4bs81abd3ea-7.1"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
