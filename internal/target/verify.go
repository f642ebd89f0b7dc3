package target

import (
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
)

// images are the images that t consists of, its roots last.
func (t *Target) images() []*sandbox.Image {
	return []*sandbox.Image{
		&t.Vulnerable.Image, &t.Fixed.Image, &t.Fuzz.Image, &t.SourceTree,
		&t.Vulnerable.Root, &t.Fixed.Root, &t.Fuzz.Root,
	}
}

// Open finds the images of a target that was read from a record.
func (t *Target) Open(store sandbox.Images) error {
	for _, i := range t.images() {
		img, err := store.Open(i.Digest)
		if err != nil {
			return err
		}
		*i = img
	}
	return nil
}

// Verify reads every image of t and compares its digest, so that a build that
// was swapped on disk is found before it is judged by. checked, which may be
// nil, remembers what was read already: the targets of a suite share roots.
func (t *Target) Verify(store sandbox.Images, checked map[proofhouse.Digest]bool) error {
	for _, i := range t.images() {
		if checked[i.Digest] {
			continue
		}
		if err := store.Verify(i.Digest); err != nil {
			return err
		}
		if checked != nil {
			checked[i.Digest] = true
		}
	}
	return nil
}
