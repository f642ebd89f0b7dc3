package clearing

// NewMemory is a house in memory, as the tests of this package have it.
func NewMemory() interface {
	Store
	Shelf
} {
	return newMemory()
}
