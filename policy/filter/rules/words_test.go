package rules

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

// contains is another implementation of words.in.
func contains(text string, ws []string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(ws, func(w string) bool { return strings.Contains(text, strings.ToLower(w)) })
}

func checkWords(t *testing.T, text string, ws ...string) {
	t.Helper()
	if got, _ := newWords(ws).in([]byte(text), nil); got != contains(text, ws) {
		t.Errorf("%q in %.80q (%d bytes): %v", ws, text, len(text), got)
	}
	if got := string(appendLower([]byte("x"), []byte(text))); got != "x"+strings.ToLower(text) {
		t.Errorf("%.80q became %.80q", text, got)
	}
}

// Words are found in any case, wherever the text is divided into pieces.
func TestWords(t *testing.T) {
	for _, text := range []string{
		"", "Casino", "a CASINO b", "casin", "@[`{AZaz", "\x7f\x80", "ÀÉ", "K", "İx", "Ⱥcasino", "\xff\xfecasino\xc3", "straße STRASSE", "e\u0301",
	} {
		for _, w := range []string{"", "casino", "CASINO", "k", "àé", "İ", "ⱥ", "\ufffd", "\xff", "ss", "[`", "z"} {
			checkWords(t, text, w)
			checkWords(t, text, "never found", w)
		}
		checkWords(t, text)
		for _, filler := range []string{"X", "É", "\x80", "x\xc3"} {
			for _, n := range []int{pieceSize - 8, pieceSize - 3, pieceSize - 1, pieceSize, pieceSize + 1, 3*pieceSize - 2} {
				checkWords(t, strings.Repeat(filler, n)[:n]+text+filler, "casino", "àé")
			}
		}
	}
	long := strings.Repeat("Long ", 3*pieceSize)
	checkWords(t, "x"+long+"y", long, long+"z")
}

func FuzzWords(f *testing.F) {
	f.Add("a Casino", "CASINO", 4090)
	f.Add("É\xff", "é", 4095)
	f.Fuzz(func(t *testing.T, text, word string, before int) {
		if before < 0 || before > 3*pieceSize || len(text) > pieceSize {
			return
		}
		checkWords(t, text, word)
		checkWords(t, strings.Repeat("Y", before)+text, word, "never found")
	})
}

// The memory for the comparison does not depend on the length of the text.
func TestWordsMemory(t *testing.T) {
	ws, text := newWords([]string{"casino"}), []byte(strings.Repeat("x", 1<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		ws.in(text, nil)
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > 64<<10 {
		t.Errorf("%d bytes for 1 MiB of text", n)
	}
}
