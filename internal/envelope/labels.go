package envelope

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of Options.Labels. Each message in memory may have labels of this
// size, and each line of a tracking log.
const (
	MaxLabels     = 32
	MaxLabelKey   = 64
	MaxLabelValue = 256
	MaxLabelBytes = 4 << 10 // of all keys and values together
)

// CheckLabels returns an error that says which of the labels is not valid, and
// why. It returns nil if all are valid.
func CheckLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return fmt.Errorf("%d labels, at most %d are allowed", len(labels), MaxLabels)
	}
	size := 0
	for key, value := range labels {
		if problem := badKey(key); problem != "" {
			return fmt.Errorf("label %.*q: the key %s", MaxLabelKey, key, problem)
		}
		if problem := badValue(value); problem != "" {
			return fmt.Errorf("label %q: the value %s", key, problem)
		}
		size += len(key) + len(value)
	}
	if size > MaxLabelBytes {
		return fmt.Errorf("the labels have %d bytes, at most %d are allowed", size, MaxLabelBytes)
	}
	return nil
}

func badKey(key string) string {
	if key == "" || len(key) > MaxLabelKey {
		return fmt.Sprintf("has %d bytes, not 1 to %d", len(key), MaxLabelKey)
	}
	for i := range len(key) {
		c := key[i]
		if c-'0' > 9 && c|0x20-'a' > 25 && !strings.ContainsRune("-_./", rune(c)) {
			return fmt.Sprintf("contains byte %q", c)
		}
	}
	return ""
}

func badValue(value string) string {
	switch {
	case len(value) > MaxLabelValue:
		return fmt.Sprintf("has %d bytes, at most %d are allowed", len(value), MaxLabelValue)
	case !utf8.ValidString(value):
		return "is not UTF-8"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "contains a control character"
	}
	return ""
}

// SortedKeys returns the keys of labels in their order.
func SortedKeys(labels map[string]string) []string { return slices.Sorted(maps.Keys(labels)) }
